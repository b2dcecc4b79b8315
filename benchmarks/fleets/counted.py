"""A store that counts requests: `counted:///folder` is a local folder behind requests like those of S3."""

import os
from collections import Counter
from typing import Any

import fsspec
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

REQUESTS: Counter[str] = Counter()
"""Requests of this process so far, by their names on S3: GET, PUT, HEAD, LIST, DELETE."""


class CountedFileSystem(AbstractFileSystem):
    """A filesystem with one request per method; an opened file makes one for its size and one for each range read."""

    protocol = "counted"

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        REQUESTS["GET"] += 1
        with open(path, "rb") as file:
            file.seek(start or 0)
            return file.read() if end is None else file.read(end - (start or 0))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        REQUESTS["PUT"] += 1
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(value)

    def rm_file(self, path: str) -> None:
        REQUESTS["DELETE"] += 1
        os.remove(path)

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        REQUESTS["HEAD"] += 1
        return _entry(path)

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        names = [os.path.join(path, name) for name in os.listdir(path)]
        REQUESTS["LIST"] += max(1, -(-len(names) // 1000))  # S3 lists a thousand at a time
        return [_entry(name) for name in names] if detail else names

    def _open(self, path: str, mode: str = "rb", **options: Any) -> "_CountedFile":
        return _CountedFile(self, path, mode, **options)


class _CountedFile(AbstractBufferedFile):
    def _fetch_range(self, start: int, end: int) -> bytes:
        return bytes(self.fs.cat_file(self.path, start, end))


def _entry(path: str) -> dict[str, Any]:
    status = os.stat(path)
    kind = "directory" if os.path.isdir(path) else "file"
    return {"name": path, "size": status.st_size, "type": kind, "mtime": status.st_mtime}


fsspec.register_implementation("counted", CountedFileSystem, clobber=True)
