"""Reading whole objects, whose content is checked against the tag that an S3 server gives it: as a rule its MD5.

A byte that changes on its way is not seen by HTTP, and audio holds no checksum.
"""

import hashlib
import re
from typing import Any

from ds2ray.storage.connections import Connection
from ds2ray.storage.errors import too_large
from ds2ray.storage.outages.line import Line
from ds2ray.storage.outages.passing import DamagedOnItsWayError
from ds2ray.storage.traffic import count

_MD5 = re.compile(r'"?([0-9a-f]{32})"?')


def read_whole(connection: Connection, path: str, max_bytes: int | None = None) -> bytes:
    """The content of an object, read once more where it does not fit its tag.

    Args:
        max_bytes: of an object with more no more than one byte more is read, or none: ArtifactCorruptError. None: any.
    """
    if connection.is_s3:
        return read_tagged(connection, path, max_bytes)[0]
    end = None if max_bytes is None else max_bytes + 1
    data = bytes(connection.cat_file(path, start=0, end=end) if end else connection.cat_file(path))
    count(read_bytes=len(data))
    return data


def read_tagged(connection: Connection, path: str, max_bytes: int | None = None) -> tuple[bytes, str]:
    """The content of an object of an S3 server, and the tag that the server gives it."""
    return connection.outlast(lambda: _checked(connection, path, max_bytes))


def _checked(connection: Connection, path: str, max_bytes: int | None) -> tuple[bytes, str]:
    data, tag, is_digest = _fetched(connection.plain, path, max_bytes)
    count(read_bytes=len(data))
    if not is_digest or _fits(connection.line, data, tag):
        return data, tag.strip('"')
    again, _, _ = _fetched(connection.plain, path, max_bytes)
    if again != data:
        raise DamagedOnItsWayError(f"what arrived has not the MD5 that the server told, {tag}")
    connection.line.tags_are_md5 = False  # two readings agree: it is the content, and the tag is something else
    return data, tag.strip('"')


class PatientFile:
    """A remote file opened for reading, whose reads outlast outages.

    Args:
        file: of fsspec.
    """

    def __init__(self, file: Any, connection: Connection) -> None:
        self._file = file
        self._connection = connection
        self.seek, self.close = file.seek, file.close

    def read(self, size: int) -> bytes:
        """The next bytes, `size` at most."""
        start = self._file.tell()

        def read() -> bytes:
            self._file.seek(start)
            return bytes(self._file.read(size))

        data = self._connection.outlast(read)
        count(read_bytes=len(data))
        return data


def _fits(line: Line, data: bytes, tag: str) -> bool:
    """Whether content fits its tag; any does where the tag is no MD5."""
    digest = _MD5.fullmatch(tag)
    if digest is None or not line.tags_are_md5:
        return True
    return hashlib.md5(data, usedforsecurity=False).hexdigest() == digest[1]


def _fetched(filesystem: Any, path: str, max_bytes: int | None) -> tuple[bytes, str, bool]:
    """The content of an object, by one GET, its tag, and whether that may be its MD5, as encryption makes it none."""
    import fsspec.asyn

    async def fetch() -> tuple[bytes, str, bool]:
        bucket, key, _ = filesystem.split_path(path)
        answer = await filesystem._call_s3("get_object", Bucket=bucket, Key=key)
        async with answer["Body"] as body:
            if max_bytes is not None and answer["ContentLength"] > max_bytes:
                raise too_large(f"s3://{path}", max_bytes)
            data = await body.read()
        encrypted = "kms" in answer.get("ServerSideEncryption", "") or "SSECustomerAlgorithm" in answer
        return data, answer.get("ETag", ""), not encrypted

    data, tag, is_digest = fsspec.asyn.sync(filesystem.loop, fetch)
    return bytes(data), str(tag), bool(is_digest)
