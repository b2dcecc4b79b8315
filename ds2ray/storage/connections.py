"""Connections to stores: one for all threads of a process, with the credentials of its environment."""

import functools
import os
from typing import Any

from ds2ray.config import StorageConfig
from ds2ray.errors import InputError
from ds2ray.uris import absolute, protocol

MAX_REQUESTS = 32
"""Requests of a process that are under way at once."""

_CREDENTIAL_VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CONFIG_FILE"),
    *("AWS_SHARED_CREDENTIALS_FILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"),
)


def configure(storage: StorageConfig) -> None:
    """Use the configured S3 endpoint in this process and those it starts. Credentials stay where they are.

    A relative root is made absolute in place: Ray's workers have working directories of their own.
    """
    storage.root = absolute(storage.root)
    if storage.endpoint_url:
        os.environ["AWS_ENDPOINT_URL"] = storage.endpoint_url


@functools.cache
def _connection(scheme: str, process_id: int, credentials: int) -> Any:
    """One fsspec instance for all threads of a process, as long as the environment's credentials stay the same."""
    import fsspec

    if scheme not in ("s3", "s3a"):
        return fsspec.filesystem(scheme, use_listings_cache=False)
    filesystem = fsspec.filesystem(
        scheme,
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


def connect(uri: str) -> tuple[Any, str]:
    """The fsspec instance for a URI, and the path in it."""
    scheme = protocol(uri)
    credentials = hash(tuple(os.environ.get(name) for name in _CREDENTIAL_VARIABLES))
    try:
        filesystem = _connection(scheme, os.getpid(), credentials)
    except (ValueError, ImportError) as error:
        raise InputError(f"{uri}: cannot open {scheme}:// URIs: {error}") from error
    return filesystem, filesystem._strip_protocol(uri)
