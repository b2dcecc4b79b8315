"""Publishing: a user's record is written over the one before it, which no other writer has changed meanwhile."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from ds2ray import storage
from ds2ray.errors import StorageError
from ds2ray.store.layout import late_mark_uri
from ds2ray.store.leases.fence import LateWriteError
from ds2ray.store.records import decode_record, encode_record
from ds2ray.store.store import Store

LATE_KIND = "late publication"
"""What the mark of a user says that it is whose record was written by a run that had lost its lease."""

_ATTEMPTS = 8


class Numbered(Protocol):
    """A record that counts publications, and names the acquisition of the lease under which it was published."""

    @property
    def seq(self) -> int: ...

    @property
    def fence(self) -> int: ...


R = TypeVar("R", bound=Numbered)


def commit(
    store: Store,
    record_class: type[R],
    uri: str,
    kind: str,
    key: str,
    following: Callable[[R | None], R],
    write_files: Callable[[], None] = lambda: None,
) -> R:
    """Write the record that follows the current one, which is read again where another writer was faster.

    Args:
        kind: what the record says that it is.
        key: of the user whose record it is.
        following: the record that follows the current one, None: the first; the current one itself: nothing is written.
        write_files: writes the files that the record names, once it is known that there is something to write.

    Raises:
        ArtifactCorruptError: the current record is damaged.
        InterruptedRunError: the run has lost its lease; a record that it has written all the same is marked, so that
            the next run looks at it.
    """
    written = False
    for _ in range(_ATTEMPTS):
        seen = store.read_seen(uri)
        current = None
        if seen.data is not None:
            current = decode_record(record_class, seen.data, uri, kind=kind, bound={"user_key": key})
        record = following(current)
        if record is current:
            return record
        if store.fence is not None and current is not None and current.fence > store.fence.number:
            store.fence.require(now=True)  # a later run has published here
        if not written:
            write_files()
            written = True
        try:
            if store.write_where_seen(uri, encode_record(kind, record), seen):
                return record
        except LateWriteError:
            # the run may write nothing more; this mark is no part of its work, and changes nothing that is published
            mark = encode_record(LATE_KIND, {"user_key": key})
            storage.write_bytes(late_mark_uri(store, key), mark, store.server)
            raise
    raise StorageError(f"{uri}: other writers change it all the time; run again")


def fence_number(store: Store) -> int:
    """The number of the acquisition of the lease that a writer to this store holds; 0 for one without a lease."""
    return 0 if store.fence is None else store.fence.number
