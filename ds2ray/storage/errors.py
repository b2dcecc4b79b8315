"""What storage libraries raise, turned into the two errors that callers know: FileNotFoundError and StorageError."""

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ds2ray.errors import Ds2RayError, StorageError
from ds2ray.uris import is_local


@contextmanager
def reporting(uri: str, action: str) -> Iterator[None]:
    """Turn what the storage libraries raise into FileNotFoundError or StorageError; a defect keeps its own type."""
    try:
        yield
    except Ds2RayError:
        raise
    except FileNotFoundError as error:
        if server_code(error) != "NoSuchBucket":
            raise FileNotFoundError(errno.ENOENT, "no such object", uri) from None
        raise StorageError(f"{uri}: cannot {action}: there is no such bucket; create it or correct the URI") from error
    except Exception as error:
        if not is_of_storage(error):
            raise
        said = str(error) or type(error).__name__
        raise StorageError(f"{uri}: cannot {action}: {said}; {_remedy(uri, error)}") from error


def is_of_storage(error: Exception) -> bool:
    """Whether an error says something of the storage.

    The operating system raises OSError, a library ValueError for a name that cannot be or an error class of its own.
    Python's other errors (TypeError, AttributeError, …) tell of a defect in a program, which running again never mends.
    """
    return isinstance(error, OSError | ValueError) or type(error).__module__ != "builtins"


def server_code(error: BaseException) -> str:
    """The code of the server's answer that an error stands for, such as NoSuchBucket; else empty."""
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _remedy(uri: str, error: Exception) -> str:
    if is_local(uri):
        return "check the path, its permissions and the free space"
    if isinstance(error, PermissionError) or "Credential" in type(error).__name__:
        return (
            "check the credentials (for S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or the machine's "
            "role) and that they may get, put, delete and list objects here"
        )
    if "Connect" in type(error).__name__ or isinstance(error, ConnectionError | TimeoutError):
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "the provider's own"
        return f"check the network and the endpoint (storage.endpoint_url or AWS_ENDPOINT_URL; now {endpoint})"
    return "nothing is lost; run again when the server answers"


class ReportingFile(io.RawIOBase):
    """A remote file opened for reading; what goes wrong on the way is reported as everywhere."""

    def __init__(self, file: Any, uri: str) -> None:
        self._file = file
        self._uri = uri

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        with reporting(self._uri, "read"):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
