"""Setting aside: what is damaged is moved out of the way, so that it stops no run, and kept for who wants to look."""

import secrets
from contextlib import suppress

from ds2ray.store.layout import aside_uri
from ds2ray.store.store import Store


def set_aside(store: Store, uri: str, why: str) -> str:
    """Move an object of the store aside; returns a line for the report, with the reason and the new place."""
    place = aside_uri(store, uri, secrets.token_hex(4))
    with suppress(FileNotFoundError):  # another has just done it
        store.write_bytes(place, store.read_bytes(uri))
        store.delete(uri)
    return f"{why} (set aside as {place})"
