"""Conditional writes: an object is written only where it still holds what was seen of it.

They are atomic on local disks, in memory, and on servers that honour If-None-Match and If-Match, which
`honours_conditions` finds out by trying. Elsewhere the object is read again directly before it is written: between the
two another writer may come, so that whoever relies on it looks again a moment later.
"""

import fcntl
import hashlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ds2ray.errors import Ds2RayError, StorageError
from ds2ray.storage.connections import Connection, connect
from ds2ray.storage.errors import is_refused_condition, reporting
from ds2ray.storage.objects import delete, read_bytes, write_bytes
from ds2ray.storage.server import Server
from ds2ray.storage.traffic import count
from ds2ray.storage.whole import read_tagged
from ds2ray.uris import is_local, join, local_path, parent, protocol

LOCKED_S = 5.0
"""Seconds for which a folder that another process has locked is waited for: a stopped process must not stop others."""

_MEMORY = threading.Lock()


@dataclass(frozen=True)
class Seen:
    """What an object held when it was read: None where there was none. The tag is the server's, if it has any."""

    data: bytes | None
    tag: str = ""


def read_seen(uri: str, server: Server | None = None) -> Seen:
    """What an object holds now."""
    try:
        if protocol(uri) not in ("s3", "s3a"):
            return Seen(read_bytes(uri, server))
        with reporting(uri, "read", server):
            return Seen(*read_tagged(*connect(uri, server)))
    except FileNotFoundError:
        return Seen(None)


def write_where_seen(
    uri: str, data: bytes, seen: Seen, server: Server | None = None, last_look: Callable[[], None] = lambda: None
) -> bool:
    """Write a whole object where it still holds what was seen; returns whether it was written.

    An object that holds these very bytes counts as written: an answer may have been lost, and the request sent again.

    Args:
        last_look: called directly before the write; what it raises keeps the object as it is.
    """
    if is_local(uri):
        return _write_local(uri, data, seen, last_look)
    if protocol(uri) == "memory":
        with _MEMORY:
            return _write_if_same(uri, data, seen, server, last_look)
    if not honours_conditions(uri, server):
        return _write_if_same(uri, data, seen, server, last_look)
    last_look()
    return _put(uri, data, seen, server) or read_seen(uri, server).data == data


def honours_conditions(uri: str, server: Server | None = None) -> bool:
    """Whether conditional writes are atomic where this object lies. It is tried once for each bucket and process.

    A server that answers anything else than it should counts as one that does not honour them.
    """
    if is_local(uri) or protocol(uri) == "memory":
        return True
    if protocol(uri) not in ("s3", "s3a"):
        return False
    bucket = f"{protocol(uri)}://{uri.partition('://')[2].partition('/')[0]}"
    tried = connect(uri, server)[0], bucket
    if tried not in _answers:
        _answers[tried] = _try(join(parent(uri), f".{secrets.token_hex(8)}.tmp"), server)
    return _answers[tried]


_answers: dict[tuple[Connection, str], bool] = {}


def _try(uri: str, server: Server | None) -> bool:
    try:
        return _keeps_conditions(uri, server)
    except StorageError:
        write_bytes(uri, b"", server)  # a server that takes this one has refused conditions as such
        return False
    finally:
        with suppress(Ds2RayError):
            delete(uri, server)


def _keeps_conditions(uri: str, server: Server | None) -> bool:
    first, second, third = (secrets.token_bytes(16) for _ in range(3))
    absent = Seen(None)
    if not _put(uri, first, absent, server) or _put(uri, second, absent, server):
        return False
    seen = read_seen(uri, server)
    wrong = Seen(second, hashlib.md5(second, usedforsecurity=False).hexdigest())
    if seen.data != first or not seen.tag or _put(uri, third, wrong, server):
        return False
    return _put(uri, second, seen, server) and read_seen(uri, server).data == second


def _put(uri: str, data: bytes, seen: Seen, server: Server | None) -> bool:
    """Send a conditional PUT; returns whether the server took it."""
    options = {"mode": "create"} if seen.data is None else {"IfMatch": f'"{seen.tag}"'}
    try:
        with reporting(uri, "write", server):
            connection, path = connect(uri, server)
            connection.pipe_file(path, data, **options)
            count(written_bytes=len(data))
    except (Ds2RayError, FileNotFoundError) as error:
        if is_refused_condition(error):
            return False
        raise
    return True


def _write_if_same(uri: str, data: bytes, seen: Seen, server: Server | None, last_look: Callable[[], None]) -> bool:
    now = read_seen(uri, server).data
    if now != seen.data:
        return now == data
    last_look()
    write_bytes(uri, data, server)
    return True


def _write_local(uri: str, data: bytes, seen: Seen, last_look: Callable[[], None]) -> bool:
    """The new content is on the disk before the folder is locked: then a rename is all that is left to do."""
    with reporting(uri, "write"):
        target = local_path(uri)
        folder, name = os.path.split(target)
        temporary = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(8)}.tmp")
        write_bytes(temporary, data)
        try:
            with _locked(folder or "."):
                last_look()
                now = read_seen(uri).data
                if now != seen.data:
                    return now == data
                os.replace(temporary, target)
                return True
        finally:
            with suppress(OSError):
                os.remove(temporary)


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    """A context in which no other thread or process of this machine has the lock of the folder.

    Where the disk has no locks, or another process keeps it for too long, it is entered all the same.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        until_s = time.monotonic() + LOCKED_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < until_s:
                    time.sleep(0.002)
                    continue
            except OSError:
                pass
            break
        yield
    finally:
        os.close(descriptor)
