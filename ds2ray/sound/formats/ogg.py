"""Ogg: streams that follow each other in one file, of which a decoder reads the first alone.

A file is pages `OggS <flags> … <serial number> … <lengths> <content>`; the first pages of a stream have a flag. Only
walking all pages finds a second stream: joined copies of one file have the same serial number.
"""

from typing import BinaryIO

from ds2ray.errors import InputError
from ds2ray.sound.formats.spliced import Stretch, spliced

MAGIC = b"OggS"

_FIRST, _LAST = 0x02, 0x04  # flags of a page
_HEADER_BYTES = 27
_SEARCHED_BYTES = 2**16  # more than the largest page


def recordings(file: BinaryIO, size_bytes: int) -> list[BinaryIO]:
    """The recordings in a file of Ogg pages, each as a file.

    Raises:
        InputError: the last page is not all there, or not the last of its stream.
    """
    starts: list[int] = []
    place = flags = end = 0
    in_heads = False
    while place < size_bytes:
        file.seek(place)
        header = file.read(_HEADER_BYTES)
        if header[:4] != MAGIC:
            place = _next_page(file, place + 1)
            continue
        lengths = file.read(header[26]) if len(header) == _HEADER_BYTES else b""
        end = place + _HEADER_BYTES + len(lengths) + sum(lengths)
        if len(header) < _HEADER_BYTES or len(lengths) < header[26] or end > size_bytes:
            flags = 0
            break
        flags = header[5]
        if flags & _FIRST and not in_heads:  # a stream of several kinds begins with a page of each
            starts.append(place)
        in_heads = bool(flags & _FIRST)
        place = end
    if not flags & _LAST:
        raise InputError(f"is truncated: its {size_bytes} bytes do not hold the last page")
    if len(starts) < 2:
        return [file]
    return [spliced(file, [Stretch(a, b)]) for a, b in zip(starts, [*starts[1:], size_bytes], strict=True)]


def _next_page(file: BinaryIO, place: int) -> int:
    """Where, after damage, the next page begins; else the end of the file."""
    while True:
        file.seek(place)
        window = file.read(_SEARCHED_BYTES)
        found = window.find(MAGIC)
        if found >= 0:
            return place + found
        if len(window) < _SEARCHED_BYTES:
            return place + len(window)
        place += len(window) - len(MAGIC) + 1
