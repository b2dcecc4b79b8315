"""S3-compatible servers, and the one that `s3://` URIs of this process lie on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

OUTAGE_S, SHORT_OUTAGE_S = 90.0, 3.0
"""Seconds without an answer that are waited for at most: by a job, and where there is something to fall back on."""

_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")  # the first one that is set counts


@dataclass(frozen=True)
class Server:
    """An S3-compatible server: its address, and the name of the credentials for it. It holds no secret.

    Attributes:
        endpoint_url: the address; empty: that of the environment of the process that connects, else the profile's
            own, else the provider's.
        profile: section of the AWS configuration files that holds the credentials; empty: the provider's own chain.
        outage_s: seconds that a request is sent again while the server does not answer, or is overloaded.
    """

    endpoint_url: str = ""
    profile: str = ""
    outage_s: float = OUTAGE_S

    @classmethod
    def here(cls, endpoint_url: str = "", profile: str = "", outage_s: float = OUTAGE_S) -> "Server":
        """A server that is the same in other processes: an empty address is filled from this process's environment."""
        return cls(endpoint_url or endpoint_of_environment(), profile, outage_s)

    def hurried(self) -> "Server":
        """The same server, whose outages are not waited for, as there is something to fall back on."""
        return replace(self, outage_s=min(self.outage_s, SHORT_OUTAGE_S))


def endpoint_of_environment() -> str:
    """The server's address in this process's environment; empty where there is none."""
    return next(filter(None, map(os.environ.get, _ENDPOINT_VARIABLES)), "")


_current = Server()


def current_server() -> Server:
    """The server of `s3://` URIs that come without one."""
    return _current


@contextmanager
def using(server: Server) -> Iterator[None]:
    """A context in which `s3://` URIs that come without a server lie on this one, in all threads of the process."""
    global _current
    before, _current = _current, server
    try:
        yield
    finally:
        _current = before
