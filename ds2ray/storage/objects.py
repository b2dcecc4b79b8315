"""Objects by URI, as bytes: a local path, `file://`, `s3://`, `memory://`, or any other scheme that fsspec has.

Missing objects raise FileNotFoundError. A server that cannot be reached, refuses the credentials or has no such
bucket raises StorageError: one message with the URI, the server's answer and a remedy, within seconds. Nothing is
cached between calls but the connection, and every function may be called from any thread and any process.

Every function takes the server of an `s3://` URI; None: the process's current one.
"""

import errno
import io
import os
import re
import secrets
import time
from contextlib import suppress
from typing import BinaryIO, cast

from ds2ray.storage.connections import connect
from ds2ray.storage.errors import ReportingFile, reporting, too_large
from ds2ray.storage.server import Server, current_server
from ds2ray.storage.traffic import count
from ds2ray.storage.whole import PatientFile, read_whole
from ds2ray.uris import is_local, local_path

LEFT_AFTER_S = 3600.0
"""Seconds without a change after which a file that is being written is taken to be left by a killed writer."""

_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{16}\.tmp", re.DOTALL)
_MAX_SWEPT = 10_000  # folders that are remembered
_swept: set[str] = set()  # folders, by this process

_BUFFER_BYTES = 256 * 1024  # read at once from an open object: enough for any audio header


def read_bytes(uri: str, server: Server | None = None, max_bytes: int | None = None) -> bytes:
    """The bytes of a whole object.

    Args:
        max_bytes: that it may have; no more are fetched. None: any number.

    Raises:
        ArtifactCorruptError: it has more.
    """
    with reporting(uri, "read", server):
        if is_local(uri):
            with open(local_path(uri), "rb") as file:
                # no more memory is taken than there are bytes, whatever the limit
                size = os.fstat(file.fileno()).st_size
                data = file.read(None if max_bytes is None else min(max(0, max_bytes), size) + 1)
        else:
            filesystem, path = connect(uri, server)
            data = read_whole(filesystem, path, max_bytes)
        if max_bytes is not None and len(data) > max_bytes:
            raise too_large(uri, max_bytes)
        return data


def write_bytes(uri: str, data: bytes, server: Server | None = None) -> None:
    """Write a whole object: readers see the old content or the new, never a part. Missing folders are made."""
    with reporting(uri, "write", server):
        if not is_local(uri):
            filesystem, path = connect(uri, server)
            filesystem.pipe_file(path, data)
            count(written_bytes=len(data))
            return
        target = local_path(uri)
        folder, name = os.path.split(target)
        _make_folder(folder or ".")
        temporary = os.path.join(folder, f".{name[:50]}.{secrets.token_hex(8)}.tmp")
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # or a power failure could leave the new name on an empty file
            os.replace(temporary, target)
            _sync_folder(folder or ".")
        except BaseException:
            with suppress(OSError):
                os.remove(temporary)
            raise


def _make_folder(folder: str) -> None:
    """Make a folder and those above it, on the disk as well; where it is there, sweep it once in a process."""
    if os.path.isdir(folder):
        if folder not in _swept:
            if len(_swept) >= _MAX_SWEPT:
                _swept.clear()
            _swept.add(folder)
            with suppress(OSError):  # the folder may be one to write in, not to look into
                sweep(folder)
        return
    above = os.path.dirname(os.path.abspath(folder))
    _make_folder(above)
    os.makedirs(folder, exist_ok=True)
    _sync_folder(above)


def _sync_folder(folder: str) -> None:
    """Put the names in a folder on the disk: a power failure would otherwise undo a rename that has been reported."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder to write in, not to look into
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # of a filesystem that has no such thing
            raise
    finally:
        os.close(descriptor)


def sweep(folder: str) -> int:
    """Delete what killed writers have left in a local folder; returns how many files that were.

    A writer that lives touches its file all the time, so that only files of `LEFT_AFTER_S` without a change go. Were
    one stopped for so long, its rename would fail and be reported: nothing half-written would appear.
    """
    found = 0
    for entry in os.scandir(folder):
        if not _TEMPORARY.fullmatch(entry.name):
            continue
        with suppress(OSError):  # another process sweeps, too
            if time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFT_AFTER_S:
                os.remove(entry.path)
                found += 1
    return found


def delete(uri: str, server: Server | None = None) -> None:
    """Delete one object; a missing one is no error."""
    with suppress(FileNotFoundError), reporting(uri, "delete", server):
        if is_local(uri):
            os.remove(local_path(uri))
        else:
            filesystem, path = connect(uri, server)
            filesystem.rm_file(path)


def open_read(uri: str, server: Server | None = None) -> BinaryIO:
    """An object as a seekable file, of which only the parts that are read are fetched."""
    with reporting(uri, "read", server):
        if is_local(uri):
            return open(local_path(uri), "rb")
        filesystem, path = connect(uri, server)
        file = filesystem.open(path, "rb", cache_type="none", block_size=_BUFFER_BYTES)
        if filesystem.is_s3 and file.size <= _BUFFER_BYTES:  # in one piece its content can be checked
            file.close()
            return io.BytesIO(read_whole(filesystem, path))
    reporting_file = ReportingFile(PatientFile(file, filesystem), uri, server or current_server())
    return cast(BinaryIO, io.BufferedReader(reporting_file, _BUFFER_BYTES))


def exists(uri: str, server: Server | None = None) -> bool:
    """Whether there is such an object, or a folder that holds one."""
    try:
        with reporting(uri, "look for it", server):
            if is_local(uri):
                return os.path.exists(local_path(uri))
            filesystem, path = connect(uri, server)
            filesystem.info(path)
            return True
    except FileNotFoundError:
        return False
