"""The one place where a decoding library's errors become the fault of the audio that it was given."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ds2ray.errors import Ds2RayError, InputError


@contextmanager
def decoding(source: "Watched | None" = None) -> Iterator[None]:
    """Turn any error of a decoding library, of whatever type, into InputError; only its calls belong inside.

    Args:
        source: that the library reads from. What went wrong in it is raised as it was: storage that does not answer is
            no fault of the audio.

    Raises:
        InputError: with the library's reason.
        MemoryError: the machine has too little memory.
    """
    try:
        yield
    except (Ds2RayError, MemoryError):
        raise
    except Exception as error:
        if source is not None:
            source.raise_fault()
        raise InputError(f"cannot be decoded as audio ({_reason(error)})") from error
    if source is not None:
        source.raise_fault()


def _reason(error: Exception) -> str:
    text = str(getattr(error, "error_string", "") or error).strip().rstrip(".")
    return " ".join(text.split()) or type(error).__name__


class Watched(io.RawIOBase):
    """A file that a decoding library reads through callbacks, out of which no exception finds its way.

    An error is kept, and the library sees the end of the file; `raise_fault` raises it afterwards.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._fault: BaseException | None = None

    def raise_fault(self) -> None:
        """Raise the first error that reading met, if it met one."""
        if self._fault is not None:
            raise self._fault

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # what io hands over
        filled = 0
        try:
            # a library takes a short read for the end of the file, and files over a network give them
            while self._fault is None and filled < len(view):
                data = self._file.read(len(view) - filled)
                if not data:
                    break
                view[filled : filled + len(data)] = data
                filled += len(data)
        except BaseException as error:  # an interrupt, too, would be lost in the library
            self._fault = error
            return 0
        return filled

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except ValueError:  # a damaged header points before the beginning
            return self._file.tell()
        except BaseException as error:
            self._fault = self._fault or error
            return 0

    def tell(self) -> int:
        return self._file.tell()
