"""Connections to servers: one for all threads of a process, with the credentials of its environment."""

import functools
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable
from typing import Any, TypeVar

from ds2ray.errors import InputError
from ds2ray.storage.archives import located, refuse_bombs
from ds2ray.storage.outages.line import Line
from ds2ray.storage.server import Server, current_server, endpoint_of_environment
from ds2ray.uris import ARCHIVES, is_local, links_of, local_path, protocol

T = TypeVar("T")

MAX_REQUESTS = 32
"""Requests that a process sends at once, at most."""

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 3.0, 30.0
"""Seconds for a connection, and from one piece of an answer to the next; at most a third of the outage that is waited
for, so that a request that stalls is sent again in time."""

S3_SCHEMES = ("s3", "s3a")

_CREDENTIAL_VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CONFIG_FILE"),
    *("AWS_SHARED_CREDENTIALS_FILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"),
)


class Connection:
    """An fsspec filesystem each of whose public methods is a request that outlasts outages of the server.

    Attributes:
        plain: the filesystem itself, of which every request is sent once.
    """

    def __init__(self, filesystem: Any, scheme: str, server: Server) -> None:
        self.plain = filesystem
        self.is_s3 = scheme in S3_SCHEMES
        self.line = _line(_address(scheme, server), os.getpid())
        self._reached = scheme, server
        self._renewing = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.plain, name)
        if name.startswith("_") or not callable(attribute):
            return attribute
        return lambda *args, **options: self.outlast(lambda: attribute(*args, **options))

    def __reduce__(self) -> Any:
        return _connected, self._reached

    def outlast(self, request: Callable[[], T]) -> T:
        """The result of a request, sent again as long as it fails by what passes (see `Line.outlast`)."""
        used: Any = None

        def attempt() -> T:
            nonlocal used
            used = getattr(self.plain, "_s3", None)
            return request()

        return self.line.outlast(attempt, self._reached[1].outage_s, lambda: self._renew(used))

    def _renew(self, used: Any) -> None:
        """Ask the provider's chain for credentials anew, unless another thread has, since `used` was the client."""
        with self._renewing:
            if self.is_s3 and used in (None, self.plain._s3):
                self.plain.connect(refresh=True)


@functools.cache
def _connection(scheme: str, server: Server, process_id: int, credentials: int) -> Connection:
    """One connection for all threads of a process, as long as the environment's credentials stay the same."""
    import fsspec

    if scheme not in S3_SCHEMES:
        try:
            return Connection(fsspec.filesystem(scheme, use_listings_cache=False), scheme, server)
        except TypeError as error:  # so fsspec answers where an argument is missing
            raise ValueError(f"an address says too little: {error}") from error
    filesystem = _s3_filesystem()(**_s3_options(server))
    filesystem.retries = 1
    return Connection(filesystem, scheme, server)


@functools.cache
def _s3_filesystem() -> Any:
    """s3fs's class, which sends what it writes at once.

    botocore first asks with `Expect: 100-continue` whether it may, and aiohttp waits for that answer without a limit:
    a server that takes connections and has stopped would hold a write up for ever.
    """
    import s3fs
    from botocore.handlers import add_expect_header  # type: ignore[import-untyped]

    class AtOnce(s3fs.S3FileSystem):
        async def set_session(self, *arguments: Any, **options: Any) -> Any:
            client = await super().set_session(*arguments, **options)
            client.meta.events.unregister("before-call.s3", add_expect_header)
            return client

    return AtOnce


def _s3_options(server: Server) -> dict[str, Any]:
    return {
        "endpoint_url": server.endpoint_url or None,
        "profile": server.profile or None,
        "skip_instance_cache": True,  # fsspec's cache does not see that credentials have changed
        "use_listings_cache": False,
        "max_concurrency": 1,  # one GET reads an object; otherwise a HEAD comes first
        "config_kwargs": {
            "connect_timeout": min(CONNECT_TIMEOUT_S, server.outage_s / 3),
            "read_timeout": min(READ_TIMEOUT_S, server.outage_s / 3),
            "max_pool_connections": MAX_REQUESTS,
            "retries": {"total_max_attempts": 1},  # neither botocore nor s3fs repeats a request: `Line` does
        },
    }


_known_addresses: set[str] = set()


@functools.cache
def _line(address: str, process_id: int) -> Line:
    """The line of a process to a server, whatever the credentials are."""
    return Line(address, answered=address in _known_addresses)


def _address(scheme: str, server: Server) -> str:
    """A server in messages, the same for all that mean the same one."""
    if scheme not in S3_SCHEMES:
        return f"{scheme}://"
    return (
        server.endpoint_url
        or endpoint_of_environment()
        or (f"s3:// of {server.profile}" if server.profile else "s3://")
    )


def known_to_answer(*servers: Server) -> None:
    """Say that servers have answered another process of this job: their silence is an outage from this process's first
    request on, and no wrong address."""
    _known_addresses.update(_address(scheme, server) for server in servers for scheme in S3_SCHEMES)


def connect(uri: str, server: Server | None = None) -> tuple[Connection, str]:
    """The connection for a URI, and the path in it.

    Args:
        server: of `s3://` URIs; None: the process's current one.
    """
    try:
        if len(links_of(uri)) > 1:
            return _chained(uri, server or current_server())
        if protocol(uri) in ARCHIVES:
            raise ValueError(f"which archive? `{uri}::<its address>` names a member of one")
        connection = _connected(protocol(uri), server or current_server())
    except (ValueError, ImportError) as error:
        raise InputError(f"{uri}: cannot open {protocol(uri)}:// URIs: {error}") from error
    return connection, connection._strip_protocol(uri)


def _chained(uri: str, server: Server) -> tuple[Connection, str]:
    """The connection for a chained address, opened anew for each request, and the path in it.

    Raises:
        FileNotFoundError: there is no such archive.
        ValueError: it is none, or names no member, or one that unpacks to more than it may.
    """
    place = links_of(uri)[-1]
    if is_local(place) and os.path.exists(local_path(place)) and not os.path.isfile(local_path(place)):
        raise ValueError(f"{place} is no file")  # to open a pipe would wait for ever
    schemes = {protocol(link) if "://" in link else link for link in links_of(uri)}
    options = {scheme: _s3_options(server) for scheme in schemes & set(S3_SCHEMES)}
    try:
        refuse_bombs(links_of(uri), options)
        filesystem, path = located(uri, options)
    except (zipfile.BadZipFile, tarfile.TarError, NotImplementedError) as error:
        raise ValueError(f"its archive cannot be read: {error}") from error
    if hasattr(filesystem, "fo") and path == "":
        raise ValueError("it names no member of the archive")
    return Connection(filesystem, protocol(uri), server), path


def _connected(scheme: str, server: Server) -> Connection:
    credentials = hash(tuple(os.environ.get(name) for name in _CREDENTIAL_VARIABLES))
    return _connection(scheme, server, os.getpid(), credentials)
