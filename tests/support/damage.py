"""Damage to what is stored."""

from ds2ray import storage


def flip_a_bit(uri: str) -> None:
    data = bytearray(storage.read_bytes(uri))
    data[len(data) // 2] ^= 1
    storage.write_bytes(uri, bytes(data))
