"""WAV: lengths that a program did not know when it wrote the header, and recordings that were joined byte by byte.

A WAV file is `RIFF <length> WAVE` and chunks `<id> <length> <content>`, of which `data` holds the samples. Who writes
to a pipe puts a placeholder there: 0 (GStreamer, Python), 0x7FFFF000 (sox), 0x7FFFFFFF, 0x80000000 (arecord),
0xFFFFFFFF (ffmpeg). RF64 is the same with lengths of 64 bits in a chunk `ds64`.
"""

from dataclasses import dataclass
from typing import BinaryIO

from ds2ray.errors import InputError
from ds2ray.sound.formats.spliced import Stretch, spliced

_PIPED = 0x7FFF0000
"""Lengths from here on were not known: few bytes below 2 GiB, or beyond."""

_LARGE = 0x10000000
"""Lengths from here on, 2 hours at 16 kHz, were not known either if they are round."""

MAX_CHUNKS = 10_000
"""Chunks that are looked at: in a damaged file each of its bytes could be taken for one."""

_SCANNED_BYTES = 2**20


@dataclass(frozen=True)
class _Data:
    """Where samples lie: the place of their length's four bytes, and the stretch that holds them.

    Attributes:
        declared: their length as the header gives it.
        wide_at: the place of the chunk that gives it in 64 bits; 0: there is none.
    """

    length_at: int
    start: int
    end: int
    declared: int
    wide_at: int


def recordings(file: BinaryIO, size_bytes: int, thorough: bool = True) -> list[BinaryIO]:
    """The recordings in a file that begins as WAV does, each as a file that says how long it is.

    Args:
        thorough: read samples of unknown length to see whether another recording follows; else none does.

    Raises:
        InputError: the samples end before their length, which is no placeholder.
    """
    found: list[BinaryIO] = []
    start = 0
    while start < size_bytes and _begins(file, start):
        data = _data(file, start, size_bytes, thorough)
        if data is None:
            break  # libsndfile says what is missing
        # behind an odd number of bytes stands one that fills them up, which some programs leave out
        behind = (data.end + (data.end - data.start) % 2, data.end)
        end = next((place for place in behind if _begins(file, place)), size_bytes)
        if start == 0 and end == size_bytes and data.declared == data.end - data.start:
            break
        found.append(_mended(file, Stretch(start, end), data))
        start = end
    return found or [file]


def is_placeholder(length: int) -> bool:
    """Whether a length was written by a program that did not know it."""
    if length >= _PIPED:
        return True
    return length >= _LARGE and ((length & 0xFFF) in (0, 0xFFF) or length % 10**6 == 0)


def _mended(file: BinaryIO, place: Stretch, data: _Data) -> BinaryIO:
    length = data.end - data.start
    if length == data.declared or length > 0xFFFFFFFF:
        return spliced(file, [place])
    number = length.to_bytes(4, "little")
    if not data.wide_at:
        return spliced(file, [Stretch(place.start, data.length_at), number, Stretch(data.start, place.end)])
    size = min(0xFFFFFFFF, place.end - place.start - 8).to_bytes(4, "little")
    before, between = Stretch(place.start + 8, data.wide_at), Stretch(data.wide_at + 4, data.length_at)
    return spliced(file, [b"RIFF" + size, before, b"JUNK", between, number, Stretch(data.start, place.end)])


def _data(file: BinaryIO, start: int, size_bytes: int, thorough: bool) -> _Data | None:
    """The chunk `data` of the recording that begins at `start`; None where it has none."""
    file.seek(start)
    riff = file.read(12)
    riff_end = start + 8 + int.from_bytes(riff[4:8], "little")
    wide = None  # length of the samples in 64 bits
    wide_at, place = 0, start + 12
    for _ in range(MAX_CHUNKS):
        if place + 8 > size_bytes:
            break
        file.seek(place)
        name, length = file.read(4), int.from_bytes(file.read(4), "little")
        content = place + 8
        if name == b"ds64":
            wide_at, lengths = place, file.read(16)
            riff_end, wide = start + 8 + int.from_bytes(lengths[:8], "little"), int.from_bytes(lengths[8:], "little")
        if name == b"data":
            declared = wide if wide is not None and length == 0xFFFFFFFF else length
            end = _end_of_data(file, content, declared, riff_end, size_bytes)
            if end is None:
                end = _next_recording(file, content, size_bytes) if thorough else size_bytes
            return _Data(place + 4, content, end, declared, wide_at)
        place = content + length + length % 2
    return None


def _end_of_data(file: BinaryIO, start: int, declared: int, riff_end: int, size_bytes: int) -> int | None:
    """The end of samples that begin at `start`; None where the header does not tell."""
    available = size_bytes - start
    if 0 < declared <= available:
        return start + declared
    if declared == 0 and _holds_chunks(file, start, size_bytes):
        return start  # it has no samples, and says so
    unknown = is_placeholder(declared) or is_placeholder(start + declared)
    if declared > available + 1 and not unknown and riff_end != size_bytes:
        raise InputError(f"is truncated: {size_bytes} of {start + declared} bytes are there")
    return None


def _holds_chunks(file: BinaryIO, start: int, size_bytes: int) -> bool:
    """Whether a stretch is chunks up to its end, and not samples."""
    place = start
    while place + 8 <= size_bytes:
        file.seek(place)
        name, length = file.read(4), int.from_bytes(file.read(4), "little")
        if not name.isascii() or not name.strip(b"_ ").isalnum():
            return False
        place += 8 + length + length % 2
    return place in (size_bytes, size_bytes + 1)


def _begins(file: BinaryIO, place: int) -> bool:
    file.seek(place)
    head = file.read(12)
    return head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE"


def _next_recording(file: BinaryIO, start: int, size_bytes: int) -> int:
    """Where, after samples of unknown length, another recording begins; else the end of the file."""
    place, kept = start, b""
    file.seek(start)
    while window := file.read(_SCANNED_BYTES):
        text = kept + window
        found = text.find(b"WAVEfmt ")
        while found >= 0:
            begins = place - len(kept) + found - 8
            if begins >= start and text[found - 8 : found - 4] == b"RIFF":
                return begins
            found = text.find(b"WAVEfmt ", found + 1)
        place += len(window)
        kept = text[-19:]
    return min(place, size_bytes)


def is_wav(head: bytes) -> bool:
    """Whether a file begins as WAV does; those of the other byte order (RIFX) are libsndfile's alone."""
    return head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE"
