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
from ds2ray.sound.formats import ffmpeg, flac, lengths, libsndfile, mp3, ogg, raw, wav
from ds2ray.sound.formats.part import Part, between
from ds2ray.uris import Excerpt, excerpt_of, recording_of

EMPTY = "is empty (0 bytes)"

_DUMP = b"\xf0\x7e"

_CONTAINERS = (b"FORM", b"caff", b".snd", b"RIFX")
"""Formats that hold many codings, of which libsndfile knows some."""

_SPHERE = b"NIST"

_OF_THE_FILE = {
    errno.EACCES: "may not be read (permission denied)",
    errno.EPERM: "may not be read (permission denied)",
    errno.EISDIR: "is a directory",
    errno.ELOOP: "is a symbolic link that leads back to itself",
    errno.ENAMETOOLONG: "has a name that is too long",
}
"""What the system says of one file, and not of the disk that it lies on."""


@contextmanager
def opened(audio: str | bytes, at_once: bool = False, excerpt: Excerpt | None = None) -> Iterator[list[Part]]:
    """The recordings of a file, for as long as the context lasts; of an excerpt, what of them lies in it.

    Args:
        audio: a URI, also of an excerpt or of audio in a shard, or the bytes of a file.
        at_once: fetch the whole file with one request; else, and of an excerpt, only what is read is fetched.
        excerpt: of the bytes of a file.

    Raises:
        FileNotFoundError: there is nothing at the URI.
        InputError: it is empty, truncated (as far as headers tell), no audio, or a local file that cannot be opened.
    """
    if isinstance(audio, str):
        audio, excerpt = recording_of(audio), excerpt_of(audio)
    with _recordings(audio, at_once, excerpt) as parts:
        yield between(parts, excerpt) if excerpt else parts


@contextmanager
def _recordings(audio: str | bytes, at_once: bool, excerpt: Excerpt | None) -> Iterator[list[Part]]:
    at_once = at_once and excerpt is None
    with _file(audio, at_once) as file:
        size_bytes = file.seek(0, io.SEEK_END)
        if size_bytes == 0:
            raise InputError(EMPTY)
        if isinstance(audio, str) and audio.lower().endswith(raw.PCM_SUFFIX):
            yield [raw.part(file, size_bytes)]
        elif isinstance(audio, str) and (order := raw_order(audio, file)):
            yield [raw.part(file, size_bytes, order, raw.order_note(order))]
        else:
            # what may be joined to a FLAC or WAV is not looked for again for each excerpt of it
            is_near = excerpt is None and (at_once or isinstance(audio, bytes) or storage.is_local(audio))
            yield _parts(file, size_bytes, is_near)


def raw_order(uri: str, file: BinaryIO) -> str:
    """The byte order of a `.raw` file, by its samples; empty for other files, and where it has a header after all."""
    if not uri.lower().endswith(raw.RAW_SUFFIX):
        return ""
    file.seek(0)
    head = file.read(16)
    named = (ogg.MAGIC, flac.MAGIC, _SPHERE, *_CONTAINERS)
    return "" if ffmpeg.format_of(head) or wav.is_wav(head) or head[:4] in named else raw.order_of(file)


def _parts(file: BinaryIO, size_bytes: int, is_near: bool) -> list[Part]:
    """The recordings of a file with a header.

    What it costs to know how long they are: nothing but the header for WAV and its kin, FLAC on a server, and MP3 whose
    first frame counts the whole file; all of the file, not decoded, for Ogg, and nearby for FLAC and for WAV that does
    not say, which may be joined; all of it, decoded, for other MP3 and for what FFmpeg reads.
    """
    file.seek(0)
    head = file.read(16)
    foreign = ffmpeg.format_of(head)
    if foreign:
        if not ffmpeg.is_there():
            raise ffmpeg.needed(foreign)
        return [ffmpeg.part(file)]
    if wav.is_wav(head):
        return [ffmpeg.part_of_last_resort(each) for each in wav.recordings(file, size_bytes, is_near)]
    if head[:4] == ogg.MAGIC:
        return [ffmpeg.part_of_last_resort(each) for each in ogg.recordings(file, size_bytes)]
    if head[:4] == flac.MAGIC and is_near:
        return [libsndfile.part(each) for each in flac.recordings(file, size_bytes)]
    if mp3.begins_as_mp3(file) and not mp3.counts_all(file, size_bytes):
        return [libsndfile.part(each, exact=False) for each in mp3.recordings(file, size_bytes)]
    if head[:2] == _DUMP:  # whose decoder prints
        raise InputError("is a MIDI dump of an instrument, no recording")
    part = ffmpeg.part_of_last_resort if head[:4] in _CONTAINERS else libsndfile.part
    return [part(each) for each in lengths.recordings(file, size_bytes)]


def read_file(uri: str) -> bytes:
    """The bytes of an audio file. Raises as `opened` does."""
    with _told(uri):
        return storage.read_bytes(uri)


def why_unreadable(uri: str) -> str:
    """Why a local file cannot be opened, as far as can be told without opening it; empty where it can."""
    try:
        with _told(uri):
            if os.access(storage.local_path(uri), os.R_OK):
                return ""
            return _OF_THE_FILE[errno.EACCES]
    except FileNotFoundError:
        return "there is no such file"
    except InputError as error:
        return str(error)


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
