"""FLAC: files that were joined, of which a decoder reads the first alone."""

from typing import BinaryIO

from ds2ray.sound.formats.spliced import Stretch, spliced

MAGIC = b"fLaC"

_BEGINNING = MAGIC + b"\x00\x00\x00\x22"
"""The magic number and the header of the first block, whose type and length are always these."""
_BEGINNING_ALONE = MAGIC + b"\x80\x00\x00\x22"
"""The same where no other block follows."""
_SCANNED_BYTES = 2**20


def recordings(file: BinaryIO, size_bytes: int) -> list[BinaryIO]:
    """The recordings in a FLAC file, each as a file."""
    starts = []
    kept, place = b"", 0
    file.seek(0)
    while window := file.read(_SCANNED_BYTES):
        text = kept + window
        for beginning in (_BEGINNING, _BEGINNING_ALONE):
            found = text.find(beginning)
            while found >= 0:
                starts.append(place - len(kept) + found)
                found = text.find(beginning, found + 1)
        place += len(window)
        kept = text[-len(_BEGINNING) + 1 :]
    starts.sort()
    if len(starts) < 2:
        return [file]
    return [spliced(file, [Stretch(a, b)]) for a, b in zip(starts, [*starts[1:], size_bytes], strict=True)]
