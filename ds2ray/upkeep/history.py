"""The versions of a user: what was published, when one came after the other, and which is current."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ds2ray.store import AdapterPointer, Store, made_seq, read_pointer, read_withdrawn
from ds2ray.store.verify import ID_LENGTH


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of a user's adapter.

    Attributes:
        seq: number of its publication, from 1; higher is newer.
        base_id: of the base that it was trained on.
        error_before, error_after: held-out error rates of the base alone and with it.
        restored: whether a rollback has made it current again.
    """

    seq: int
    version: str
    run_id: str
    base_id: str
    error_before: float | None
    error_after: float | None
    size_bytes: int
    is_current: bool
    restored: bool


@dataclass(frozen=True)
class LastPointer:
    """The pointer of a user or, of one who went back to the base, the last one; `is_current` tells which."""

    pointer: AdapterPointer
    is_current: bool

    @property
    def version(self) -> str:
        """The current version; empty: the user has the base alone."""
        return self.pointer.version if self.is_current else ""


def last_pointer(store: Store, key: str) -> LastPointer | None:
    """The last pointer of a user; None for one who never had an adapter. Raises ArtifactCorruptError."""
    pointer = read_pointer(store, key)
    if pointer is not None:
        return LastPointer(pointer, True)
    withdrawn = read_withdrawn(store, key)
    return LastPointer(withdrawn, False) if withdrawn else None


def versions(store: Store, key: str) -> list[Version]:
    """The versions of a user, newest first; empty for a user who never had an adapter.

    Raises:
        ArtifactCorruptError: the user's pointer is damaged.
    """
    found = last_pointer(store, key)
    if found is None:
        return []
    entries = [vars(found.pointer), *found.pointer.history]
    listed = [_version(entry, found.is_current and number == 0) for number, entry in enumerate(entries)]
    return sorted(listed, key=lambda version: -version.seq)


def _version(entry: Mapping[str, Any], is_current: bool) -> Version:
    return Version(
        seq=made_seq(entry),
        version=entry["version"],
        run_id=entry["run_id"],
        base_id=entry["base_fingerprint"][:ID_LENGTH],
        error_before=entry["error_before"],
        error_after=entry["error_after"],
        size_bytes=entry["size_bytes"],
        is_current=is_current,
        restored=bool(entry.get("restored_seq")),
    )
