"""What this process has asked of servers, and how much it has read and written there. Local files are none of it."""

import threading
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Traffic:
    """Requests to servers, those of them that were sent again, and the bytes of objects that came and went.

    A request is one call of a filesystem; a listing of many objects, or a large upload, is several of the server's.
    """

    requests: int = 0
    retries: int = 0
    read_bytes: int = 0
    written_bytes: int = 0

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def __sub__(self, other: "Traffic") -> "Traffic":
        return Traffic(*(getattr(self, each.name) - getattr(other, each.name) for each in fields(self)))


_lock = threading.Lock()
_so_far = Traffic()


def count(*, requests: int = 0, retries: int = 0, read_bytes: int = 0, written_bytes: int = 0) -> None:
    """Add to what this process has done."""
    global _so_far
    more = Traffic(requests, retries, read_bytes, written_bytes)
    with _lock:
        _so_far = _so_far + more


def traffic_so_far() -> Traffic:
    """All that this process has done so far."""
    return _so_far
