"""Users' adapters in the store. The pointer is written after the weights, and is the commit; every read is verified."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from ds2ray.errors import InputError
from ds2ray.store.layout import adapter_weights_uri, pointer_uri, withdrawn_uri
from ds2ray.store.leases.committing import commit, fence_number
from ds2ray.store.records import AdapterPointer, known_fields, read_record, split_code, write_record
from ds2ray.store.store import Store
from ds2ray.store.verify import ID_LENGTH, read_verified, sha256

KIND = "adapter pointer"
"""What a pointer says that it is."""
WITHDRAWN = "withdrawn adapter pointer"

MAX_HISTORY = 30
"""Earlier versions that a pointer names at most: it stays small for a user who is adapted every night."""


def publish_adapter(
    store: Store,
    key: str,
    weights: bytes,
    *,
    base_fingerprint: str,
    data_fingerprint: str,
    adapter: dict[str, Any],
    run_id: str,
    error_before: float | None,
    error_after: float | None,
    split: str = "",
    num_utterances: int | None = None,
    improvement: float | None = None,
    anchor_error_before: float | None = None,
    anchor_error_after: float | None = None,
) -> AdapterPointer:
    """Make these weights (safetensors) the user's current adapter. A crash on the way leaves the earlier one.

    Raises:
        InterruptedRunError: the run has lost its lease.
        ArtifactCorruptError: the user's pointer is damaged.
    """
    digest = sha256(weights)
    version = digest[:ID_LENGTH]
    was_withdrawn = False

    def following(current: AdapterPointer | None) -> AdapterPointer:
        nonlocal was_withdrawn
        earlier = current or read_withdrawn(store, key)
        was_withdrawn = current is None and earlier is not None
        return AdapterPointer(
            user_key=key,
            version=version,
            sha256=digest,
            size_bytes=len(weights),
            base_fingerprint=base_fingerprint,
            data_fingerprint=data_fingerprint,
            adapter=adapter,
            run_id=run_id,
            seq=earlier.seq + 1 if earlier else 1,
            error_before=error_before,
            error_after=error_after,
            history=_with_history(earlier, version),
            split=split,
            fence=fence_number(store),
            num_utterances=num_utterances,
            improvement=improvement,
            anchor_error_before=anchor_error_before,
            anchor_error_after=anchor_error_after,
        )

    def write_weights() -> None:
        store.write_bytes(adapter_weights_uri(store, key, version), weights)

    pointer = commit(store, AdapterPointer, pointer_uri(store, key), KIND, key, following, write_weights)
    if was_withdrawn:
        store.delete(withdrawn_uri(store, key))
    return pointer


def read_pointer(store: Store, key: str) -> AdapterPointer | None:
    """The user's pointer; None for a user without an adapter.

    Raises:
        ArtifactCorruptError: it is damaged, or another user's.
    """
    return _read(store, key, pointer_uri(store, key), KIND)


def read_withdrawn(store: Store, key: str) -> AdapterPointer | None:
    """The last pointer of a user who went back to the base; None for others. Where there is a pointer, that counts.

    Raises:
        ArtifactCorruptError: it is damaged, or another user's.
    """
    return _read(store, key, withdrawn_uri(store, key), WITHDRAWN)


def write_pointer(store: Store, pointer: AdapterPointer, *, withdrawn: bool = False) -> None:
    """Write a user's pointer or, of a user who went back to the base, the last one."""
    if withdrawn:
        write_record(store, withdrawn_uri(store, pointer.user_key), WITHDRAWN, pointer)
    else:
        write_record(store, pointer_uri(store, pointer.user_key), KIND, pointer)


def _read(store: Store, key: str, uri: str, kind: str) -> AdapterPointer | None:
    try:
        return _with_split_codes(read_record(store, AdapterPointer, uri, kind=kind, bound={"user_key": key}))
    except FileNotFoundError:
        return None


def read_adapter(store: Store, pointer: AdapterPointer) -> bytes:
    """The weights that a pointer names. Raises ArtifactCorruptError where they are missing or have changed."""
    uri = adapter_weights_uri(store, pointer.user_key, pointer.version)
    return read_verified(store, uri, pointer.size_bytes, pointer.sha256)


def history(store: Store, key: str) -> list[dict[str, Any]]:
    """The user's versions as pointers without their histories, newest first; empty for a user without an adapter."""
    pointer = read_pointer(store, key)
    return [_entry(pointer), *pointer.history] if pointer else []


def rollback(store: Store, key: str, version: str) -> AdapterPointer:
    """Make an earlier version current again, after verifying it. Nothing is deleted.

    Raises:
        InputError: the user has no such version.
        ArtifactCorruptError: its weights are missing or have changed since they were published.
    """

    def following(there: AdapterPointer | None) -> AdapterPointer:
        current = there or read_withdrawn(store, key)
        known = [_entry(current), *current.history] if current else []
        entry = next((entry for entry in known if entry["version"] == version), None)
        if current is None or entry is None:
            versions = ", ".join(entry["version"] for entry in known) or "none"
            raise InputError(f"user {key} has no version {version!r}; versions there: {versions}")
        changed = {
            "seq": current.seq + 1,
            "history": _with_history(current, version),
            "fence": fence_number(store),
            "restored_seq": made_seq(entry),
        }
        pointer = AdapterPointer(**known_fields(AdapterPointer, entry) | changed)
        read_adapter(store, pointer)
        return pointer

    pointer = commit(store, AdapterPointer, pointer_uri(store, key), KIND, key, following)
    store.delete(withdrawn_uri(store, key))
    return pointer


def withdraw(store: Store, key: str) -> AdapterPointer | None:
    """Let a user go back to the base; returns the last pointer, which is kept, or None for a user without an adapter.

    No version is deleted: `rollback` makes each current again, and the next publication goes on counting.
    """
    pointer = read_pointer(store, key)
    if pointer is None:
        return read_withdrawn(store, key)
    write_pointer(store, pointer, withdrawn=True)
    store.delete(pointer_uri(store, key))
    return pointer


def made_seq(entry: Mapping[str, Any]) -> int:
    """The number of the publication of a version, by which versions are older or newer, whatever rollbacks there were.

    Args:
        entry: of a history, as `history` gives it.
    """
    return int(entry.get("restored_seq") or entry["seq"])


def _with_split_codes(pointer: AdapterPointer) -> AdapterPointer:
    history = tuple(entry | {"split": split_code(entry.get("split", ""))} for entry in pointer.history)
    return replace(pointer, history=history, split=split_code(pointer.split))


def _entry(pointer: AdapterPointer) -> dict[str, Any]:
    entry = asdict(pointer)
    del entry["history"]
    return entry


def _with_history(earlier: AdapterPointer | None, version: str) -> tuple[dict[str, Any], ...]:
    """The history of a pointer to `version` that follows `earlier`: every other version once, newest first."""
    if earlier is None:
        return ()
    earlier = _with_split_codes(earlier)
    entries = [_entry(earlier), *earlier.history]
    return tuple(entry for entry in entries if entry["version"] != version)[:MAX_HISTORY]
