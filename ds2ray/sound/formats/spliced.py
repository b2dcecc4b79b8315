"""A file made of stretches of another: with a header mended, or one recording cut out of several."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast


@dataclass(frozen=True)
class Stretch:
    """Bytes `start` to `end` of a file."""

    start: int
    end: int


def spliced(file: BinaryIO, parts: Sequence[bytes | Stretch]) -> BinaryIO:
    """The parts one after another, as a file that is read; only what is read of it is read of `file`."""
    return cast(BinaryIO, _Spliced(file, parts))


class _Spliced(io.RawIOBase):
    def __init__(self, file: BinaryIO, parts: Sequence[bytes | Stretch]) -> None:
        self._file = file
        self._parts: list[tuple[int, int, bytes | Stretch]] = []  # from, to, what
        size = 0
        for part in parts:
            length = len(part) if isinstance(part, bytes) else part.end - part.start
            self._parts.append((size, size + length, part))
            size += length
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("before the beginning of the file")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # what io hands over
        for start, end, part in self._parts:
            if not start <= self._position < end:
                continue
            wanted, skipped = min(len(view), end - self._position), self._position - start
            if isinstance(part, bytes):
                data = part[skipped : skipped + wanted]
            else:
                self._file.seek(part.start + skipped)
                data = self._file.read(wanted)
            view[: len(data)] = data
            self._position += len(data)
            return len(data)
        return 0
