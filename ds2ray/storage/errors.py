"""Errors of storage libraries, turned into the two that callers know: FileNotFoundError and StorageError."""

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ds2ray.errors import ArtifactCorruptError, Ds2RayError, StorageError
from ds2ray.storage.server import Server, current_server, endpoint_of_environment
from ds2ray.uris import is_local

_REFUSED_CONDITIONS = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409", "NoSuchKey", "404"}
"""Codes of answers to conditional writes. There is no such key where the object has been deleted since it was seen."""


@contextmanager
def reporting(uri: str, action: str, server: Server | None = None) -> Iterator[None]:
    """Turn errors of storage libraries into FileNotFoundError or StorageError; an error that tells of a defect stays.

    Args:
        action: the request, as the message names it after "cannot".
        server: of the object; None: the process's current one.
    """
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
        raise StorageError(
            f"{uri}: cannot {action}: {said}; {_remedy(uri, error, server or current_server())}"
        ) from error


def is_of_storage(error: Exception) -> bool:
    """Whether the cause of an error lies in the storage, not in a program.

    The operating system raises OSError; a library raises ValueError for an impossible name, or an error class of its
    own. Python's other errors (TypeError, AttributeError, …) tell of a defect, which running again never mends.
    """
    return isinstance(error, OSError | ValueError) or type(error).__module__ != "builtins"


def too_large(uri: str, max_bytes: int) -> ArtifactCorruptError:
    """The error of an object that has more bytes than it may have."""
    return ArtifactCorruptError(f"{uri}: more than the {max_bytes} bytes that it may have; restore it or publish again")


def server_code(error: BaseException) -> str:
    """The code of the server's answer that caused an error, such as NoSuchBucket; empty without one."""
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def is_refused_condition(error: BaseException) -> bool:
    """Whether a server refused a conditional write, as the object is not what it was, or somebody else writes it."""
    cause: BaseException | None = error
    while cause is not None:
        response = getattr(cause, "response", None)
        if isinstance(response, dict):
            code = str(response.get("Error", {}).get("Code", ""))
            return code in _REFUSED_CONDITIONS
        cause = cause.__cause__ or cause.__context__
    return False


def _remedy(uri: str, error: Exception, server: Server) -> str:
    if is_local(uri):
        return "check the path, its permissions and the free space"
    if type(error).__name__ == "ProfileNotFound":
        return "correct storage.profile, data.profile or AWS_PROFILE, or write the profile on every node"
    if isinstance(error, PermissionError) or "Credential" in type(error).__name__:
        chain = "(for S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or the machine's role)"
        whose = f"of profile {server.profile}" if server.profile else chain
        return f"check the credentials {whose} and that they may get, put, delete and list objects here"
    if "Connect" in type(error).__name__ or isinstance(error, ConnectionError | TimeoutError):
        endpoint = server.endpoint_url or endpoint_of_environment() or "the provider's own"
        settings = "storage.endpoint_url, data.endpoint_url or AWS_ENDPOINT_URL"
        return f"check the network and the endpoint ({settings}; now {endpoint})"
    return "nothing is lost; run again when the server answers"


class ReportingFile(io.RawIOBase):
    """A remote file opened for reading, whose errors are turned by `reporting`."""

    def __init__(self, file: Any, uri: str, server: Server) -> None:
        self._file = file
        self._uri = uri
        self._server = server

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        with reporting(self._uri, "read", self._server):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
