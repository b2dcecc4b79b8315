"""Opening audio: which file, which format, and the recordings in it."""

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ds2ray import storage
from ds2ray.errors import InputError, StorageError
from ds2ray.sound.formats import libsndfile, raw
from ds2ray.sound.formats.part import Part

WAV_UNKNOWN_BYTES = 0x7FFFFFFF  # lengths from here on are placeholders of programs that stream
OGG_LONGEST_PAGE_BYTES = 65307
OGG_LAST_PAGE = 0x04  # flag of a page's header
EMPTY = "is empty (0 bytes)"

_OF_THE_FILE = {
    errno.EACCES: "may not be read (permission denied)",
    errno.EPERM: "may not be read (permission denied)",
    errno.EISDIR: "is a directory",
    errno.ELOOP: "is a symbolic link that leads back to itself",
    errno.ENAMETOOLONG: "has a name that is too long",
}
"""What the system says of one file, and not of the disk that it lies on."""


@contextmanager
def opened(audio: str | bytes, at_once: bool = False) -> Iterator[list[Part]]:
    """The recordings of a file, for as long as the context lasts.

    Args:
        audio: a URI, also of audio in a shard, or the bytes of a file.
        at_once: fetch the whole file with one request; else only what is read is fetched.

    Raises:
        FileNotFoundError: there is nothing at the URI.
        InputError: it is empty, truncated (as far as headers tell), no audio, or a local file that cannot be opened.
    """
    with _file(audio, at_once) as file:
        size_bytes = file.seek(0, io.SEEK_END)
        if size_bytes == 0:
            raise InputError(EMPTY)
        if isinstance(audio, str) and audio.lower().endswith(raw.PCM_SUFFIX):
            yield [raw.part(file, size_bytes)]
        else:
            file.seek(0)
            _refuse_cut(file)
            yield [libsndfile.part(file)]


def read_file(uri: str) -> bytes:
    """The bytes of an audio file. Raises as `opened` does."""
    with _told(uri):
        return storage.read_bytes(uri)


@contextmanager
def _file(audio: str | bytes, at_once: bool) -> Iterator[BinaryIO]:
    if isinstance(audio, str) and "#" in audio:
        from ds2ray.packs.references import is_packed, read_packed  # which needs pyarrow

        audio = read_packed(audio) if is_packed(audio) else audio
    if isinstance(audio, str) and at_once:
        audio = read_file(audio)
    if isinstance(audio, bytes):
        yield io.BytesIO(audio)
        return
    with _told(audio):
        file = storage.open_read(audio)
    with file:
        yield file


@contextmanager
def _told(uri: str) -> Iterator[None]:
    """Turn what is wrong with one local file into InputError: the others beside it may well be readable."""
    if not storage.is_local(uri):
        yield
        return
    try:
        mode = os.stat(storage.local_path(uri)).st_mode
        if not stat.S_ISREG(mode):
            raise InputError("is a directory" if stat.S_ISDIR(mode) else "is no file but a pipe, socket or device")
        yield
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "no such object", uri) from None
    except NotADirectoryError:
        raise FileNotFoundError(errno.ENOENT, "no such object", uri) from None
    except (OSError, StorageError) as error:
        cause = error.__cause__ if isinstance(error, StorageError) else error
        reason = _OF_THE_FILE.get(getattr(cause, "errno", None) or 0)
        if reason is None:
            raise
        raise InputError(reason) from error


def _refuse_cut(file: BinaryIO) -> None:
    """Refuse empty files, and cut ones in formats whose decoder takes what is left for all of it."""
    header = file.read(12)
    size_bytes = file.seek(0, io.SEEK_END)
    if not header:
        raise InputError(EMPTY)
    if header[:4] == b"RIFF" and header[8:] == b"WAVE":
        promised = 8 + int.from_bytes(header[4:8], "little")
        # programs that write to a pipe do not know the length and put the highest number there, or one close to it;
        # some count a padding byte that they do not write
        if promised < WAV_UNKNOWN_BYTES and promised > size_bytes + 1:
            raise InputError(f"is truncated: {size_bytes} of {promised} bytes are there")
    if header[:4] == b"OggS":
        file.seek(max(0, size_bytes - OGG_LONGEST_PAGE_BYTES))
        tail = file.read()
        page = tail[tail.rfind(b"OggS") :]
        segments = page[26] if len(page) > 26 else 0
        page_bytes = 27 + segments + sum(page[27 : 27 + segments])
        if len(page) < page_bytes or not page[5] & OGG_LAST_PAGE:
            raise InputError(f"is truncated: its {size_bytes} bytes do not hold the last page")
    file.seek(0)
