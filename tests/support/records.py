"""Records of the store as other releases write them."""

from typing import Any

from ds2ray.store import Store

SEAL = ("record", "format", "checksum")


def fields_of(store: Store, uri: str) -> dict[str, Any]:
    """The fields of a stored record without its seal: written as JSON, they are a record of an early release."""
    document: dict[str, Any] = store.read_json(uri)
    return {name: value for name, value in document.items() if name not in SEAL}
