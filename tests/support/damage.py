"""Damage to what is stored, and records that were written with other fields than they should have."""

from collections.abc import Mapping
from typing import Any

from ds2ray import storage
from ds2ray.storage.sealed import seal, unseal


def flip_a_bit(uri: str) -> None:
    data = bytearray(storage.read_bytes(uri))
    data[len(data) // 2] ^= 1
    storage.write_bytes(uri, bytes(data))


def rewrite_record(uri: str, changed: Mapping[str, Any]) -> None:
    """Write a record again with some fields changed and a seal that fits."""
    kind = storage.read_json(uri)["record"]
    document = unseal(storage.read_bytes(uri), uri, kind)
    storage.write_bytes(uri, seal(kind, {**document, **changed}))
