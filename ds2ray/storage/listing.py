"""Listings: the objects of a folder, each with its size and a tag of its content."""

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ds2ray.storage.connections import MAX_REQUESTS, connect
from ds2ray.storage.errors import reporting, server_code
from ds2ray.storage.faults import AddressFault, asked
from ds2ray.storage.server import Server
from ds2ray.uris import is_local, join, local_path, other_forms, parent

_FAULTS = {
    errno.ELOOP: "is a link that leads round in a circle",
    errno.ENAMETOOLONG: "has a name that is too long",
    errno.EACCES: "lies where this user may not look",
}
"""Errors of the operating system that one name causes."""

DIRECTORY, NO_FILE = "is a directory", "is no file but a pipe, socket or device"

_LIST_FROM = 8  # from so many objects wanted of one folder on, one listing is cheaper than a request for each


@dataclass(frozen=True)
class ObjectInfo:
    """A stored object. `version_tag` changes when the content does: the ETag, or size and modification time in ns.

    Attributes:
        unreachable: why there is something, but not to be opened: a fault of this one object, not of the storage.
    """

    uri: str
    size_bytes: int
    version_tag: str
    unreachable: str = ""


def _object_info(uri: str, info: dict[str, Any]) -> ObjectInfo:
    tag = info.get("ETag") or info.get("etag") or info.get("md5Hash")
    times = (info.get(key) for key in ("mtime", "LastModified", "last_modified", "updated", "created"))
    changed: Any = next((time for time in times if time), "")
    if isinstance(changed, datetime):  # the memory filesystem gives seconds in listings and dates elsewhere
        changed = changed.timestamp()
    size = int(info.get("size") or 0)
    return ObjectInfo(uri, size, str(tag).strip('"') if tag else f"{size}-{changed}")


def _local_info(uri: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(uri, status.st_size, f"{status.st_size}-{status.st_mtime_ns}")


def list_objects(prefix_uri: str, recursive: bool = False, server: Server | None = None) -> list[ObjectInfo]:
    """The objects of a folder, sorted by URI; empty where there is no such folder.

    Args:
        recursive: whether the objects of the folders in it are listed, too.
        server: of an `s3://` URI; None: the process's current one.
    """
    with reporting(prefix_uri, "list", server):
        if is_local(prefix_uri):
            found = list(_local_objects(prefix_uri, recursive))
        else:
            filesystem, path = connect(prefix_uri, server)
            path = path.rstrip("/") + "/"
            try:
                entries = filesystem.find(path, detail=True).values() if recursive else filesystem.ls(path, detail=True)
            except FileNotFoundError as error:
                if server_code(error) == "NoSuchBucket":
                    raise
                entries = []
            found = [
                _object_info(join(prefix_uri, entry["name"][len(path) :]), entry)
                for entry in entries
                if entry["type"] == "file" and entry["name"].startswith(path)
            ]
    return sorted(found, key=lambda info: info.uri)


def _local_objects(
    folder_uri: str, recursive: bool, above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[ObjectInfo]:
    """The objects in a folder; a link back to one of the folders `above` it, by device and inode, is not followed."""
    try:
        entries = list(os.scandir(local_path(folder_uri)))
    except (FileNotFoundError, NotADirectoryError):
        return
    status = os.stat(local_path(folder_uri))
    here = above | {(status.st_dev, status.st_ino)}
    for entry in entries:
        uri = join(folder_uri, entry.name)
        try:
            if _is_folder(entry):
                status = entry.stat()
                if recursive and (status.st_dev, status.st_ino) not in here:
                    yield from _local_objects(uri, recursive, here)
            elif not (entry.name.startswith(".") and entry.name.endswith(".tmp")):  # a write that is under way
                yield _local_info(uri, entry.stat())
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in _FAULTS:
                raise
            yield _unreachable(uri, error)


def _unreachable(uri: str, error: OSError) -> ObjectInfo:
    said = _FAULTS.get(error.errno or 0) or f"cannot be looked at ({error.strerror or error})"
    return ObjectInfo(uri, 0, "", said)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a folder, or a link to one. Raises OSError for a link that leads nowhere but round."""
    return stat.S_ISDIR(entry.stat().st_mode) if entry.is_symlink() else entry.is_dir()


def stat_many(uris: Iterable[str], each_alone: bool = False) -> dict[str, ObjectInfo | None]:
    """Size and tag of each object, None for a missing one; a folder of which many are wanted is listed once.

    One that is stored with its letters composed or decomposed is found, too: then its `uri` is the one that is stored,
    which has an entry of its own.

    Args:
        each_alone: what is wrong with one address is said in its `unreachable` alone, be it a server that does not
            answer: for addresses that tables name.

    Raises:
        StorageError: a server fails; with `each_alone` only that which the store lies on.
        InputError: an address that nothing can lie at.
    """
    known = _stat_exactly(uris, each_alone)
    forms = {form: uri for uri, info in known.items() if info is None for form in other_forms(uri)}
    if not forms:
        return known
    for form, info in _stat_exactly(forms, each_alone).items():
        if info is not None and known[forms[form]] is None:
            known[forms[form]] = known[form] = info
    return known


def _stat_exactly(uris: Iterable[str], each_alone: bool) -> dict[str, ObjectInfo | None]:
    known: dict[str, ObjectInfo | None] = {}
    remote: defaultdict[str, list[str]] = defaultdict(list)
    for uri in uris:
        if is_local(uri):
            known[uri] = _stat_local(uri)
        elif uri not in known:
            known[uri] = None
            remote[parent(uri)].append(uri)
    singles = [uri for wanted in remote.values() if len(wanted) < _LIST_FROM for uri in wanted]
    folders = [folder for folder, wanted in remote.items() if len(wanted) >= _LIST_FROM]
    if not remote:
        return known
    with ThreadPoolExecutor(min(MAX_REQUESTS, len(singles) + len(folders))) as pool:
        stat, listing = (_stat_alone, _listed_alone) if each_alone else (_stat, list_objects)
        known.update(zip(singles, pool.map(stat, singles), strict=True))
        for folder, listed in zip(folders, pool.map(listing, folders), strict=True):
            if isinstance(listed, AddressFault):
                known.update((uri, ObjectInfo(uri, 0, "", listed.reason)) for uri in remote[folder])
                continue
            by_uri = {info.uri: info for info in listed}
            known.update((uri, by_uri.get(uri)) for uri in remote[folder])
    return known


def why_no_file(uri: str) -> str:
    """Why a local address cannot be read as a file, told without opening it, which a pipe would never end; else empty.

    What opening would tell by an error is left to that.
    """
    if not is_local(uri):
        return ""
    try:
        mode = os.stat(local_path(uri)).st_mode
    except (OSError, ValueError):  # as opening it will tell
        return ""
    if stat.S_ISREG(mode):
        return ""
    return DIRECTORY if stat.S_ISDIR(mode) else NO_FILE


def _listed_alone(folder_uri: str) -> list[ObjectInfo] | AddressFault:
    return asked(folder_uri, lambda: list_objects(folder_uri))


def _stat_alone(uri: str) -> ObjectInfo | None:
    found = asked(uri, lambda: _stat(uri))
    return ObjectInfo(uri, 0, "", found.reason) if isinstance(found, AddressFault) else found


def _stat(uri: str) -> ObjectInfo | None:
    try:
        with reporting(uri, "look for it"):
            filesystem, path = connect(uri)
            info = filesystem.info(path)
            return _object_info(uri, info) if info["type"] == "file" else None
    except FileNotFoundError:
        return None


def _stat_local(uri: str) -> ObjectInfo | None:
    try:
        status = os.stat(local_path(uri))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return _unreachable(uri, error)
    except ValueError:  # of a NUL byte, or of letters that no name can have
        return None
    if stat.S_ISREG(status.st_mode):
        return _local_info(uri, status)
    return None if stat.S_ISDIR(status.st_mode) else ObjectInfo(uri, 0, "", NO_FILE)
