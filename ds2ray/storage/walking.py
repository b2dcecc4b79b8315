"""Walks through folders of any size: page by page, with what listings leave out, and with the age of every object."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from ds2ray.storage.connections import connect
from ds2ray.storage.errors import reporting, server_code
from ds2ray.storage.server import Server
from ds2ray.uris import is_local, join, local_path, protocol

_PAGE = 1000  # as many objects as an S3 server lists at once
_LEFTOVER_SUFFIX = ".tmp"


@dataclass(frozen=True, slots=True)
class Found:
    """An object on a walk.

    Attributes:
        modified_s: when it was last written, in seconds since 1970; 0: the server does not say.
        is_leftover: whether it is the temporary file of a write on a local disk that is under way, or was killed.
    """

    uri: str
    size_bytes: int
    modified_s: float
    is_leftover: bool = False

    @property
    def name(self) -> str:
        """The last part of its URI."""
        return self.uri.rpartition("/")[2]


def walk(prefix_uri: str, server: Server | None = None) -> Iterator[list[Found]]:
    """All objects below a folder, in pages; those of one folder follow each other. Nothing where there is none.

    Temporary files of writes, which `list_objects` leaves out, are among them.
    """
    with reporting(prefix_uri, "list", server):
        if is_local(prefix_uri):
            pages = _paged(_local(prefix_uri))
        elif protocol(prefix_uri) in ("s3", "s3a"):
            pages = _s3_pages(prefix_uri, server)
        else:
            pages = _paged(_listed(prefix_uri, server))
        yield from pages


def remove_empty_folders(folder_uri: str, server: Server | None = None) -> None:
    """Remove a folder that holds nothing but empty folders, where folders are things of their own: their names stay
    otherwise, as on a local disk. One that holds an object stays."""
    with reporting(folder_uri, "delete", server):
        if is_local(folder_uri):
            for path, _, _ in os.walk(local_path(folder_uri), topdown=False):
                try:
                    os.rmdir(path)
                except OSError:  # it holds something
                    continue
        elif protocol(folder_uri) not in ("s3", "s3a"):
            filesystem, path = connect(folder_uri, server)
            if filesystem.isdir(path) and not filesystem.find(path):
                filesystem.rm(path, recursive=True)


def _paged(found: Iterable[Found]) -> Iterator[list[Found]]:
    rest = iter(found)
    while page := list(islice(rest, _PAGE)):
        yield page


def _local(folder_uri: str, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Found]:
    """The objects below a folder, depth first; a link back to one of the folders `above` it is not followed."""
    try:
        with os.scandir(local_path(folder_uri)) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        status = os.stat(local_path(folder_uri))
    except (FileNotFoundError, NotADirectoryError):
        return
    here = above | {(status.st_dev, status.st_ino)}
    for entry in listed:
        try:
            if entry.is_dir():
                status = entry.stat()
                if (status.st_dev, status.st_ino) not in here:
                    yield from _local(join(folder_uri, entry.name), here)
                continue
            status = entry.stat(follow_symlinks=entry.is_file())
        except FileNotFoundError:  # removed meanwhile
            continue
        leftover = entry.name.startswith(".") and entry.name.endswith(_LEFTOVER_SUFFIX)
        yield Found(join(folder_uri, entry.name), status.st_size, status.st_mtime, leftover)


def _s3_pages(prefix_uri: str, server: Server | None) -> Iterator[list[Found]]:
    """The objects of an S3 server, as it lists them: in the order of their keys, a thousand at a time."""
    filesystem, path = connect(prefix_uri, server)
    bucket, _, folder = path.rstrip("/").partition("/")
    prefix = f"{folder}/" if folder else ""
    place: dict[str, str] = {}
    while True:
        try:
            answer = filesystem.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=_PAGE, **place)
        except FileNotFoundError as error:
            if server_code(error) == "NoSuchBucket":
                raise
            return
        yield [
            Found(join(prefix_uri, entry["Key"][len(prefix) :]), int(entry["Size"]), _seconds(entry["LastModified"]))
            for entry in answer.get("Contents", [])
            if not entry["Key"].endswith("/")  # what some servers have for a folder
        ]
        if not answer.get("IsTruncated"):
            return
        place = {"ContinuationToken": answer["NextContinuationToken"]}


def _listed(prefix_uri: str, server: Server | None) -> Iterator[Found]:
    filesystem, path = connect(prefix_uri, server)
    path = path.rstrip("/") + "/"
    try:
        entries = filesystem.find(path, detail=True)
    except FileNotFoundError:
        return
    for name in sorted(entries):
        entry = entries[name]
        times = (entry.get(key) for key in ("mtime", "LastModified", "last_modified", "updated", "created"))
        modified = next((time for time in times if time), 0.0)
        if name.startswith(path):
            yield Found(join(prefix_uri, name[len(path) :]), int(entry.get("size") or 0), _seconds(modified))


def _seconds(time: Any) -> float:
    if isinstance(time, datetime):
        return time.timestamp()
    return float(time) if isinstance(time, int | float) else 0.0
