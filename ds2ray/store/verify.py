"""The sha256 of published bytes: it names them, and every read is checked against it.

safetensors holds no checksum, so the pointer and base.json hold it.
"""

import hashlib

from ds2ray.errors import ArtifactCorruptError
from ds2ray.store.store import Store

ID_LENGTH = 16
"""Hex digits of a digest that name a base or a version."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_verified(store: Store, uri: str, size_bytes: int, digest: str) -> bytes:
    """The bytes of an object with this size and sha256. Raises ArtifactCorruptError where it is missing or another."""
    try:
        data = store.read_bytes(uri, max_bytes=size_bytes)
    except FileNotFoundError as error:
        raise _missing(uri) from error
    require_size(uri, len(data), size_bytes)
    if sha256(data) != digest:
        raise ArtifactCorruptError(f"{uri}: its sha256 is not the published {digest}; restore it or publish again")
    return data


def require_size(uri: str, found: int | None, size_bytes: int) -> None:
    """Raise ArtifactCorruptError where an object has not the size that was published; None: it is missing."""
    if found is None:
        raise _missing(uri)
    if found != size_bytes:
        raise ArtifactCorruptError(f"{uri}: {found} bytes, published were {size_bytes}; restore it or publish again")


def _missing(uri: str) -> ArtifactCorruptError:
    return ArtifactCorruptError(f"{uri}: it was published, and is missing; restore it or publish again")
