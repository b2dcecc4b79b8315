"""Connections to servers: one for all threads of a process, with the credentials of its environment."""

import functools
import os
from typing import Any

from ds2ray.errors import InputError
from ds2ray.storage.server import Server, current_server
from ds2ray.uris import protocol

MAX_REQUESTS = 32
"""Requests that a process sends at once, at most."""

_CREDENTIAL_VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CONFIG_FILE"),
    *("AWS_SHARED_CREDENTIALS_FILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"),
)


@functools.cache
def _connection(scheme: str, server: Server, process_id: int, credentials: int) -> Any:
    """One fsspec instance for all threads of a process, as long as the environment's credentials stay the same."""
    import fsspec

    if scheme not in ("s3", "s3a"):
        return fsspec.filesystem(scheme, use_listings_cache=False)
    filesystem = fsspec.filesystem(
        scheme,
        endpoint_url=server.endpoint_url or None,
        profile=server.profile or None,
        skip_instance_cache=True,  # fsspec's cache does not see that credentials have changed
        use_listings_cache=False,
        max_concurrency=1,  # one GET reads an object; otherwise a HEAD comes first
        config_kwargs={
            "connect_timeout": 3,
            "read_timeout": 30,
            "max_pool_connections": MAX_REQUESTS,
            "retries": {"total_max_attempts": 3, "mode": "standard"},
        },
    )
    filesystem.retries = 2  # s3fs repeats what botocore has already repeated: a dead endpoint would take minutes
    return filesystem


def connect(uri: str, server: Server | None = None) -> tuple[Any, str]:
    """The fsspec instance for a URI, and the path in it.

    Args:
        server: of `s3://` URIs; None: the process's current one.
    """
    scheme = protocol(uri)
    credentials = hash(tuple(os.environ.get(name) for name in _CREDENTIAL_VARIABLES))
    try:
        filesystem = _connection(scheme, server or current_server(), os.getpid(), credentials)
    except (ValueError, ImportError) as error:
        raise InputError(f"{uri}: cannot open {scheme}:// URIs: {error}") from error
    return filesystem, filesystem._strip_protocol(uri)
