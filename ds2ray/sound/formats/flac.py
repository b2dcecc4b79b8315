"""FLAC: files that were joined, of which a decoder reads the first alone."""

from typing import BinaryIO

from ds2ray.sound.formats.spliced import Stretch, spliced

MAGIC = b"fLaC"

_FIRST_BLOCK = (MAGIC + b"\x00\x00\x00\x22", MAGIC + b"\x80\x00\x00\x22")
"""The magic number and the first block's type and length, which are always these; 0x80: no other block follows."""

_SCANNED_BYTES = 2**20


def recordings(file: BinaryIO, size_bytes: int) -> list[BinaryIO]:
    """The recordings in a FLAC file, each as a file."""
    starts = []
    kept, place = b"", 0
    file.seek(0)
    while window := file.read(_SCANNED_BYTES):
        text = kept + window
        found = text.find(MAGIC)
        while found >= 0:
            if text.startswith(_FIRST_BLOCK, found):
                starts.append(place - len(kept) + found)
            found = text.find(MAGIC, found + 1)
        place += len(window)
        kept = text[-len(_FIRST_BLOCK[0]) + 1 :]
    if len(starts) < 2:
        return [file]
    return [spliced(file, [Stretch(a, b)]) for a, b in zip(starts, [*starts[1:], size_bytes], strict=True)]
