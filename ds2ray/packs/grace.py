"""The grace of packs: those of the table before the present one stay, as who has read that table may still read them.

The record grace.json in the folder of packs has, for the present table and the one before it, the packs of the table
before each. Preparing again what has not changed leaves the table, and so the grace, as they are.
"""

import hashlib
from collections.abc import Set
from typing import Any

from ds2ray import storage
from ds2ray.errors import ArtifactCorruptError
from ds2ray.storage.sealed import seal, unseal

KIND = "packs in grace"
"""What grace.json says that it is."""

_NAME = "grace.json"


def packs_in_grace(folder_uri: str, before: Set[str], current: Set[str]) -> set[str]:
    """File names of the packs of the table before the one that is about to be written; to be called before that.

    Args:
        before: of the table that is there.
        current: of the table to write.
    """
    tables = _read(folder_uri)
    if before == current:
        return set(tables.get(_digest(current), ()))
    known = {digest: packs for digest, packs in tables.items() if digest == _digest(before)}
    tables = {**known, _digest(current): sorted(before)}
    storage.write_bytes(storage.join(folder_uri, _NAME), seal(KIND, {"tables": tables}))
    return set(before)


def _digest(packs: Set[str]) -> str:
    """What tells a table from another one: its packs, which are named by their content."""
    return hashlib.sha256("\n".join(sorted(packs)).encode()).hexdigest()


def _read(folder_uri: str) -> dict[str, list[str]]:
    uri = storage.join(folder_uri, _NAME)
    try:
        found: Any = unseal(storage.read_bytes(uri), uri, KIND)["tables"]
    except (FileNotFoundError, ArtifactCorruptError, KeyError):
        return {}  # a grace that is not known is none
    return found if isinstance(found, dict) else {}
