"""Bases and adapters in the store. What is written last is the commit; every read is verified.

    <root>/bases/<base id>/model.safetensors, base.json        base.json last, then bases/current.json
    <root>/users/<user key>/<version>.safetensors              immutable, named by its content
    <root>/users/<user key>/current.json                       the pointer, last

safetensors holds no checksum, so the pointer and base.json do.
"""

import hashlib
import hmac
import os
import re
import unicodedata
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any, TypeVar
from urllib.parse import quote

from ds2ray import storage
from ds2ray.errors import ArtifactCorruptError, InputError

T = TypeVar("T")

SALT_VARIABLE = "DS2RAY_USER_KEY_SALT"
MAX_KEY_BYTES = 200
_UNQUOTED = re.compile(r"[A-Za-z0-9._~@-]+").fullmatch
MAX_HISTORY = 30
"""Earlier versions that a pointer names, so that it stays small for a user who is adapted every night."""

ID_LENGTH = 16
"""Hex digits of a digest that name a base or a version."""


@dataclass(frozen=True, kw_only=True)
class BaseRecord:
    """base.json: everything that is needed to build and verify a base."""

    base_id: str
    fingerprint: str
    sha256: str
    size_bytes: int
    model: dict[str, Any]
    audio: dict[str, Any]
    vocabulary: dict[str, Any]
    run_id: str
    metrics: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class AdapterPointer:
    """current.json of a user.

    Attributes:
        seq: counts publications.
        history: earlier pointers, newest first.
        split: the rule by which the user's speech was divided into what trains and what judges; empty where that was
            not yet recorded.
    """

    user_key: str
    version: str
    sha256: str
    size_bytes: int
    base_fingerprint: str
    data_fingerprint: str
    adapter: dict[str, Any]
    run_id: str
    seq: int
    error_before: float | None
    error_after: float | None
    history: tuple[dict[str, Any], ...]
    split: str = ""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def user_key(user_id: str, salt: str | None = None) -> str:
    """The name of a user in the store: the id, percent-encoded, or with a salt its HMAC-SHA256.

    Args:
        salt: by default that of the environment variable DS2RAY_USER_KEY_SALT; empty: none.

    Raises:
        InputError: the id is empty, holds control characters or is too long.
    """
    normal = unicodedata.normalize("NFC", user_id)
    if not normal.strip():
        raise InputError(f"user id {user_id!r} is empty; every user needs an id")
    if not normal.isprintable() and any(unicodedata.category(character) in ("Cc", "Cs") for character in normal):
        raise InputError(f"user id {user_id!r} holds control characters; take them out")
    salt = os.environ.get(SALT_VARIABLE, "") if salt is None else salt
    if salt:
        return hmac.digest(salt.encode(), normal.encode(), "sha256").hex()
    key = normal if _UNQUOTED(normal) else quote(normal, safe="-_~@")
    key = key.replace(".", "%2E")
    if len(key) > MAX_KEY_BYTES:
        allowed = f"at most {MAX_KEY_BYTES} bytes, percent-encoded; shorten it or set {SALT_VARIABLE}"
        raise InputError(f"user id {user_id[:40]!r}… takes {len(key)} bytes: {allowed}")
    return key


# Bases --------------------------------------------------------------------------------------------------------------


def publish_base(root_uri: str, weights: bytes, record: BaseRecord, *, make_newest: bool = True) -> str:
    """Write a base and, unless told otherwise, make it the store's newest; returns the URI of its folder."""
    base_uri = storage.join(root_uri, "bases", record.base_id)
    storage.write_bytes(storage.join(base_uri, "model.safetensors"), weights)
    storage.write_json(storage.join(base_uri, "base.json"), asdict(record))
    if make_newest:
        storage.write_json(storage.join(root_uri, "bases", "current.json"), {"base_id": record.base_id})
    return base_uri


def read_base_record(root_uri: str, base: str = "") -> BaseRecord:
    """What `read_base` reads, without the weights."""
    return _read_base_record(root_uri, base)[1]


def read_base(root_uri: str, base: str = "") -> tuple[BaseRecord, bytes]:
    """A base's record and its weights (safetensors), verified.

    Args:
        base: a base id in the store, or the URI of a base folder; empty: the store's newest.

    Raises:
        InputError: there is no such base; the message says which there are.
        ArtifactCorruptError: the weights are not those that were published.
    """
    base_uri, record = _read_base_record(root_uri, base)
    return record, _read_verified(storage.join(base_uri, "model.safetensors"), record.size_bytes, record.sha256)


def _read_base_record(root_uri: str, base: str) -> tuple[str, BaseRecord]:
    base_id = base or _current_base_id(root_uri)
    base_uri = base_id.rstrip("/") if "/" in base_id else storage.join(root_uri, "bases", base_id)
    record_uri = storage.join(base_uri, "base.json")
    try:
        return base_uri, _from_json(BaseRecord, record_uri)
    except FileNotFoundError:
        known = list_bases(root_uri)
        there = f"bases there: {', '.join(known)}" if known else "there are none; train one with jobs/train.py"
        raise InputError(f"no base {base_id!r} in {root_uri} ({record_uri} is missing); {there}") from None


def list_bases(root_uri: str) -> list[str]:
    """Ids of the bases in the store."""
    found = storage.list_objects(storage.join(root_uri, "bases"), recursive=True)
    return [info.uri.split("/")[-2] for info in found if info.uri.endswith("/base.json")]


def _current_base_id(root_uri: str) -> str:
    uri = storage.join(root_uri, "bases", "current.json")
    try:
        return str(storage.read_json(uri)["base_id"])
    except FileNotFoundError:
        raise InputError(
            f"no base in {root_uri}: train one with jobs/train.py, or correct storage.root, or name one with base="
        ) from None
    except (KeyError, TypeError) as error:
        raise ArtifactCorruptError(f"{uri}: names no base; publish the base again") from error


# Adapters -----------------------------------------------------------------------------------------------------------


def publish_adapter(
    root_uri: str,
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
) -> AdapterPointer:
    """Make these weights (safetensors) the user's current adapter. A crash on the way leaves the earlier one."""
    digest = sha256(weights)
    earlier = read_pointer(root_uri, key)
    pointer = AdapterPointer(
        user_key=key,
        version=digest[:ID_LENGTH],
        sha256=digest,
        size_bytes=len(weights),
        base_fingerprint=base_fingerprint,
        data_fingerprint=data_fingerprint,
        adapter=adapter,
        run_id=run_id,
        seq=earlier.seq + 1 if earlier else 1,
        error_before=error_before,
        error_after=error_after,
        history=_with_history(earlier, digest[:ID_LENGTH]),
        split=split,
    )
    storage.write_bytes(_weights_uri(root_uri, key, pointer.version), weights)
    storage.write_json(_pointer_uri(root_uri, key), asdict(pointer))
    return pointer


def read_pointer(root_uri: str, key: str) -> AdapterPointer | None:
    """The user's pointer; None for a user without an adapter."""
    try:
        pointer = _from_json(AdapterPointer, _pointer_uri(root_uri, key))
    except FileNotFoundError:
        return None
    return replace(pointer, history=tuple(pointer.history))


def read_adapter(root_uri: str, pointer: AdapterPointer) -> bytes:
    """The weights that a pointer names. Raises ArtifactCorruptError where they are not those that were published."""
    uri = _weights_uri(root_uri, pointer.user_key, pointer.version)
    return _read_verified(uri, pointer.size_bytes, pointer.sha256)


def history(root_uri: str, key: str) -> list[dict[str, Any]]:
    """The user's versions as pointers without their histories, newest first; empty for a user without an adapter."""
    pointer = read_pointer(root_uri, key)
    return [_entry(pointer), *pointer.history] if pointer else []


def rollback(root_uri: str, key: str, version: str) -> AdapterPointer:
    """Make an earlier version current again, after verifying it. Nothing is deleted.

    Raises:
        InputError: the user has no such version.
        ArtifactCorruptError: its weights are no longer those that were published.
    """
    current = read_pointer(root_uri, key)
    known = history(root_uri, key)
    entry = next((entry for entry in known if entry["version"] == version), None)
    if current is None or entry is None:
        there = ", ".join(entry["version"] for entry in known) or "none"
        raise InputError(f"user {key} has no version {version!r}; versions there: {there}")
    pointer = AdapterPointer(**entry | {"seq": current.seq + 1, "history": _with_history(current, version)})
    read_adapter(root_uri, pointer)
    storage.write_json(_pointer_uri(root_uri, key), asdict(pointer))
    return pointer


def _entry(pointer: AdapterPointer) -> dict[str, Any]:
    entry = asdict(pointer)
    del entry["history"]
    return entry


def _with_history(earlier: AdapterPointer | None, version: str) -> tuple[dict[str, Any], ...]:
    """The history of a pointer to `version` that follows `earlier`: every other version once, newest first."""
    if earlier is None:
        return ()
    entries = [_entry(earlier), *earlier.history]
    return tuple(entry for entry in entries if entry["version"] != version)[:MAX_HISTORY]


def _weights_uri(root_uri: str, key: str, version: str) -> str:
    return storage.join(root_uri, "users", key, f"{version}.safetensors")


def _pointer_uri(root_uri: str, key: str) -> str:
    return storage.join(root_uri, "users", key, "current.json")


# Verification -------------------------------------------------------------------------------------------------------


def _read_verified(uri: str, size_bytes: int, digest: str) -> bytes:
    try:
        data = storage.read_bytes(uri)
    except FileNotFoundError as error:
        raise ArtifactCorruptError(f"{uri}: it was published, and is missing; restore it or publish again") from error
    if len(data) != size_bytes:
        raise ArtifactCorruptError(
            f"{uri}: {len(data)} bytes, published were {size_bytes}; restore it or publish again"
        )
    if sha256(data) != digest:
        raise ArtifactCorruptError(f"{uri}: its sha256 is not the published {digest}; restore it or publish again")
    return data


def _from_json(record_class: type[T], uri: str) -> T:
    document = storage.read_json(uri)
    known = fields(record_class)  # type: ignore[arg-type]
    # fields with a default came with later releases
    required = {field.name for field in known if field.default is MISSING}
    if not isinstance(document, dict) or not required <= document.keys():
        missing = ", ".join(sorted(required - document.keys())) if isinstance(document, dict) else "everything"
        raise ArtifactCorruptError(f"{uri}: fields are missing: {missing}; restore it or publish again")
    return record_class(**{field.name: document[field.name] for field in known if field.name in document})
