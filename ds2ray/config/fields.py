"""What all sections of the settings are made of: fields and choices that say what they mean, checks, plain values."""

import copy
from dataclasses import asdict, field, fields
from enum import Enum
from typing import Any, TypeVar

from ds2ray.errors import ConfigError

T = TypeVar("T")


def setting(default: T, meaning: str) -> T:
    """A field of a config dataclass.

    Args:
        default: a list is copied for every instance.
        meaning: one sentence, which `--help` prints.
    """
    metadata = {"help": meaning}
    if isinstance(default, list):
        return field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


class Choice(Enum):
    """An Enum whose members are a value and, where it does not speak for itself, a sentence that says what it means."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> "Choice":
        member = object.__new__(cls)
        member._value_ = value
        member.meaning = meaning
        return member


def require(condition: bool, field_name: str, value: object, allowed: str) -> None:
    """Raise a ConfigError that names the field, its value and what is allowed."""
    if not condition:
        raise ConfigError(f"{field_name}={value!r} is not possible: {allowed}")


def to_plain(config: Any) -> dict[str, Any]:
    """A config dataclass as JSON-ready values: enums by their value."""

    def plain(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: value.value if isinstance(value, Enum) else value for name, value in pairs}

    return asdict(config, dict_factory=plain)


def from_plain(config_class: type[T], values: dict[str, Any]) -> T:
    """The inverse of `to_plain` for a dataclass without nested ones. Unknown names raise TypeError."""
    types = {f.name: f.type for f in fields(config_class)}  # type: ignore[arg-type]
    converted = {
        name: types[name](value) if isinstance(types.get(name), type) and issubclass(types[name], Enum) else value  # type: ignore[arg-type,operator]
        for name, value in values.items()
    }
    return config_class(**converted)
