"""What is wrong with one address that a table names, told apart from a store that fails everybody.

A bucket that is not there, a host that does not answer, a file that may not be read: each is the fault of its row. Only
where the server is the one that the store lies on, and does not do its work, is the run to end.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ds2ray.errors import Ds2RayError, InputError, StorageError
from ds2ray.storage.errors import server_code
from ds2ray.storage.server import Server, current_server
from ds2ray.uris import is_local, protocol

T = TypeVar("T")

UNREACHED = "cannot be reached"
"""How the reason of a fault begins that may pass: a server did not answer, or did not let us in."""

DEAD_FOR_S = 30.0
"""Seconds in which a place that did not answer is not asked again: a table may name a thousand files there …"""

DEAD_AFTER = 3
"""… once it did not answer so many times in a row."""

MISSING = "there is no such file"
_ACTION = re.compile(r"cannot [\w ]+: ")
_OF_S3 = ("s3", "s3a")
_OF_THE_REQUEST = ("NoSuchBucket", "AccessDenied", "403", "InvalidBucketName", "PermanentRedirect", "301")
"""Answers of a server that is well, to a request that was wrong."""


@dataclass(frozen=True, slots=True)
class AddressFault:
    """Why one address cannot be used."""

    reason: str

    @property
    def may_pass(self) -> bool:
        """Whether the same address may do tomorrow."""
        return self.reason.startswith(UNREACHED)


@dataclass(frozen=True, slots=True)
class _Silence:
    """How often a place did not answer in a row, until when it is left alone, and what was said of it."""

    times: int = 0
    until_s: float = 0.0
    reason: str = ""


_silent: dict[tuple[str, Server], _Silence] = {}


def asked(uri: str, work: Callable[[], T]) -> T | AddressFault:
    """The result of work with an address that a table names, or what is wrong with the address.

    Args:
        uri: empty for bytes that are at hand.

    Raises:
        StorageError: the store itself fails.
    """
    place = ("" if is_local(uri) else _place(uri), current_server())
    silence = _silent.get(place, _Silence())
    if silence.times >= DEAD_AFTER and time.monotonic() < silence.until_s:
        return AddressFault(silence.reason)
    try:
        found = work()
    except Exception as error:  # whatever a library raises for one object, the others are not concerned
        fault = AddressFault(fault_of(uri, error))
        if place[0] and isinstance(error, StorageError) and _is_of_place(error):
            _silent[place] = _Silence(silence.times + 1, time.monotonic() + DEAD_FOR_S, fault.reason)
        return fault
    _silent.pop(place, None)
    return found


def fault_of(uri: str, error: Exception) -> str:
    """What an error says of one address, without the address. Raises it again where the store itself fails."""
    if isinstance(error, FileNotFoundError):
        return MISSING
    if isinstance(error, InputError):
        return _without(uri, str(error))
    if isinstance(error, Ds2RayError) and not isinstance(error, StorageError):
        raise error
    if isinstance(error, StorageError):
        if is_local(uri):
            return _of_system(error.__cause__) or _without(uri, str(error))
        if protocol(uri) in _OF_S3 and current_server().holds_store and not _is_of_request(error):
            raise error
        return f"{UNREACHED}, {_ACTION.sub('', _without(uri, str(error)))}"
    if isinstance(error, OSError) and error.strerror:
        return _of_system(error)
    said = " ".join(str(error).split())
    return f"cannot be read, {type(error).__name__}{': ' if said else ''}{said}"


def _of_system(error: BaseException | None) -> str:
    """What the system says of one file; empty where it is not the system."""
    return f"cannot be opened, {error.strerror}" if isinstance(error, OSError) and error.strerror else ""


def _without(uri: str, text: str) -> str:
    return text.removeprefix(f"{uri}: ") if uri else text


def _place(uri: str) -> str:
    """The scheme of an address and its bucket or host."""
    scheme, _, path = uri.partition("://")
    return f"{scheme}://{path.partition('/')[0]}"


def _is_of_request(error: StorageError) -> bool:
    """Whether the server did its work, and refused this request."""
    cause = error.__cause__
    if isinstance(cause, ValueError | PermissionError | IsADirectoryError | NotADirectoryError):
        return True
    return cause is not None and server_code(cause) in _OF_THE_REQUEST


def _is_of_place(error: StorageError) -> bool:
    """Whether every other file of the same bucket or host would have the same error."""
    cause = error.__cause__
    if cause is None or server_code(cause) == "NoSuchBucket":
        return True
    name = type(cause).__name__
    telling = ("Connect", "Timeout", "Credential", "ProfileNotFound", "DNS")
    return isinstance(cause, ConnectionError | TimeoutError) or any(word in name for word in telling)
