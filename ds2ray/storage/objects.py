"""Objects by URI, as bytes: a local path, `file://`, `s3://`, `memory://`, or any other scheme that fsspec has.

Missing objects raise FileNotFoundError. A server that cannot be reached, refuses the credentials or has no such
bucket raises StorageError: one message with the URI, the server's answer and a remedy, within seconds. Nothing is
cached between calls but the connection, and every function may be called from any thread and any process.

Every function takes the server of an `s3://` URI; None: the process's current one.
"""

import io
import os
import secrets
from contextlib import suppress
from typing import BinaryIO, cast

from ds2ray.errors import ArtifactCorruptError
from ds2ray.storage.connections import connect
from ds2ray.storage.errors import ReportingFile, reporting, server_code
from ds2ray.storage.server import Server, current_server
from ds2ray.storage.whole import PatientFile, read_whole
from ds2ray.uris import is_local, local_path

_BUFFER_BYTES = 256 * 1024  # read at once from an open object: enough for any audio header


def read_bytes(uri: str, server: Server | None = None, max_bytes: int | None = None) -> bytes:
    """The bytes of a whole object.

    Args:
        max_bytes: that it may have; no more are fetched. None: any number.

    Raises:
        ArtifactCorruptError: it has more.
    """
    with reporting(uri, "read", server):
        data = _read_up_to(uri, server, None if max_bytes is None else max_bytes + 1)
    if max_bytes is not None and len(data) > max_bytes:
        raise ArtifactCorruptError(
            f"{uri}: more than the {max_bytes} bytes that it may have; restore it or publish again"
        )
    return data


def _read_up_to(uri: str, server: Server | None, num_bytes: int | None) -> bytes:
    if is_local(uri):
        with open(local_path(uri), "rb") as file:
            return file.read(num_bytes)
    filesystem, path = connect(uri, server)
    if num_bytes is None:
        return read_whole(filesystem, path)
    try:
        return bytes(filesystem.cat_file(path, start=0, end=num_bytes))
    except OSError as error:
        if server_code(error) != "InvalidRange":
            raise
        return b""  # an empty object has no first byte


def write_bytes(uri: str, data: bytes, server: Server | None = None) -> None:
    """Write a whole object: readers see the old content or the new, never a part. Missing folders are made."""
    with reporting(uri, "write", server):
        if not is_local(uri):
            filesystem, path = connect(uri, server)
            filesystem.pipe_file(path, data)
            return
        target = local_path(uri)
        folder, name = os.path.split(target)
        os.makedirs(folder or ".", exist_ok=True)
        temporary = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(8)}.tmp")
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # or a power failure could leave the new name on an empty file
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                os.remove(temporary)
            raise


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
