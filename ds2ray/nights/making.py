"""What a run was made with: its settings as text, and the versions of what it runs on."""

import re
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any

from ds2ray.store.keys import is_private

_PACKAGES = ("ds2ray", "torch", "ray", "pyarrow")
_PASSWORD = re.compile(r"(?<=://)[^/@\s]*@")


def settings_of(job: Any, section: str = "") -> dict[str, str]:
    """The settings of a job by name, as text; with a salt without texts, since an address may name a user."""
    found: dict[str, str] = {}
    for field in fields(job):
        value, name = getattr(job, field.name), f"{section}{field.name}"
        if is_dataclass(value):
            found |= settings_of(value, f"{name}.")
        elif not (is_private() and _may_name(value)):
            text = value.name if isinstance(value, Enum) else str(value)
            found[name] = _PASSWORD.sub("…@", text)
    return found


def _may_name(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and any(map(_may_name, value)))


def versions() -> dict[str, str]:
    """The versions of ds2ray, Python and the libraries that decide what an adapter becomes. None is imported."""
    found = {"Python": python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
