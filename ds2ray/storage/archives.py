"""What members of archives may unpack to, told before they are unpacked: a few bytes may claim to be gigabytes."""

import re
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO, cast

from ds2ray.uris import protocol

MAX_MEMBER_BYTES = 512 * 2**20
"""Of a member, unpacked: as much as a cell of a table may have."""

MAX_LISTED_BYTES = 64 * 2**20
"""Bytes that are read at once for the contents of an archive, such as the list at the end of a zip."""

MAX_UNPACKED_BYTES = 2 * 2**30
"""Of a compressed tar, whose contents are found by unpacking the whole: as much as a table of text may have."""

_UNPACKING = ("zip", "tar")


def refuse_bombs(links: Sequence[str], options: Mapping[str, Any]) -> None:
    """Raise ValueError where a member of an archive, or its list of contents, is larger than it may be.

    An archive inside another one is looked at after that one: as a member it has been found good by then.

    Args:
        links: of a chained address, as `ds2ray.uris.links_of` gives them.
        options: of fsspec's filesystems, by scheme.

    Raises:
        FileNotFoundError: there is no such archive.
    """
    from fsspec.utils import infer_compression

    for n in reversed(range(len(links) - 1)):
        scheme = protocol(links[n])
        if scheme not in _UNPACKING or "://" not in links[n]:
            continue
        filesystem, path = located("::".join(links[n + 1 :]), options)
        compression = infer_compression(path) if scheme == "tar" else None
        with filesystem.open(path, "rb", compression=compression) as file:
            bounded = cast(BinaryIO, _Bounded(file, MAX_UNPACKED_BYTES if compression else None))
            size_bytes = _largest(_zipped(bounded) if scheme == "zip" else _tarred(bounded), _member(links[n]))
        if size_bytes > MAX_MEMBER_BYTES:
            raise ValueError(
                f"{links[n]} would unpack to {size_bytes / 1e9:.1f} GB, and {MAX_MEMBER_BYTES / 1e9:.1f} GB are "
                "allowed: unpack the archive beside the table"
            )


def located(address: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """The filesystem of a chained address, and the path in it.

    Raises:
        FileNotFoundError: there is no such archive.
        ValueError: a filesystem of it cannot be made of an address alone.
    """
    from fsspec.core import url_to_fs

    try:
        filesystem, path = url_to_fs(address, **options)
    except TypeError as error:  # so fsspec answers where an argument is missing
        raise ValueError(f"its archive cannot be read: {error}") from error
    return filesystem, path


class _Bounded:
    """A file of which only so much is read at once, and nothing beyond a place.

    Args:
        end: that place, in bytes; None: anywhere.
    """

    def __init__(self, file: Any, end: int | None) -> None:
        self._file, self._end = file, end
        self.tell, self.close, self.seekable = file.tell, file.close, file.seekable

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 0:
            self._refuse(0, offset)
        return int(self._file.seek(offset, whence))

    def read(self, size: int = -1) -> bytes:
        self._refuse(MAX_LISTED_BYTES if size < 0 else size, self._file.tell())
        data = bytes(self._file.read(MAX_LISTED_BYTES + 1 if size < 0 else size))
        self._refuse(len(data), 0)
        return data

    def _refuse(self, size: int, start: int) -> None:
        if size > MAX_LISTED_BYTES:
            raise ValueError(f"its list of contents has more than {MAX_LISTED_BYTES / 1e6:.0f} MB: it cannot be read")
        if self._end is not None and start + size > self._end:
            raise ValueError(
                f"its archive would unpack to more than {self._end / 1e9:.1f} GB: unpack it beside the table"
            )


def _zipped(file: BinaryIO) -> Iterable[tuple[str, int]]:
    """Names and unpacked sizes in bytes of a zip's members; no more than that is unpacked of one."""
    with zipfile.ZipFile(file) as archive:
        return [(info.filename, info.file_size) for info in archive.infolist()]


def _tarred(file: BinaryIO) -> Iterable[tuple[str, int]]:
    """Names and sizes in bytes of a tar's members; a link has that of the largest, which it may lead to."""
    with tarfile.TarFile(fileobj=file) as archive:
        members = [(each.name, each.size, each.islnk() or each.issym()) for each in archive]
    largest = max((size for _, size, _ in members), default=0)
    return [(name, largest if is_link else size) for name, size, is_link in members]


def _largest(members: Iterable[tuple[str, int]], name: str) -> int:
    """Bytes of the largest member with this name, of which an archive may have several; 0 where there is none."""
    return max((size for each, size in members if _plain(each) == name), default=0)


def _member(link: str) -> str:
    return _plain(link.partition("://")[2])


def _plain(name: str) -> str:
    """A member's name without the slashes that make no difference to fsspec."""
    return re.sub("/+", "/", name).strip("/")
