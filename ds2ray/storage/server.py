"""S3-compatible servers, and which one `s3://` URIs mean in this process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")  # the first one that is set counts


@dataclass(frozen=True)
class Server:
    """An S3-compatible server: its address, and the name of the credentials for it. It holds no secret.

    Attributes:
        endpoint_url: empty: that of the environment of the process that connects, else the profile's own, else the
            provider's.
        profile: in the process's AWS configuration files; empty: the provider's own chain from its beginning.
    """

    endpoint_url: str = ""
    profile: str = ""

    @classmethod
    def here(cls, endpoint_url: str = "", profile: str = "") -> "Server":
        """The same server for other processes: an address that is not given is that of this environment, if any."""
        return cls(endpoint_url or endpoint_of_environment(), profile)


def endpoint_of_environment() -> str:
    """The address that this process's environment gives; empty where there is none."""
    return next(filter(None, map(os.environ.get, _ENDPOINT_VARIABLES)), "")


_current = Server()


def current_server() -> Server:
    """The server of URIs for which none is named."""
    return _current


@contextmanager
def using(server: Server) -> Iterator[None]:
    """Let URIs for which none is named lie on this server, in all threads of the process."""
    global _current
    before, _current = _current, server
    try:
        yield
    finally:
        _current = before
