"""How old an object is by the clock of the storage itself, whatever the clocks of its writer and its reader say."""

import os
import secrets
from contextlib import suppress

from ds2ray.errors import Ds2RayError
from ds2ray.storage.connections import connect
from ds2ray.storage.errors import reporting
from ds2ray.storage.objects import delete, write_bytes
from ds2ray.storage.server import Server
from ds2ray.uris import is_local, join, local_path, parent


def age_s(uri: str, server: Server | None = None) -> float | None:
    """Seconds since an object was written, by writing another one beside it; None where the storage keeps no times.

    Raises:
        FileNotFoundError: there is no such object.
        StorageError: the storage cannot be reached, or takes no objects.
    """
    now_uri = join(parent(uri), f".{secrets.token_hex(8)}.tmp")
    try:
        written_s = _modified_s(uri, server)
        write_bytes(now_uri, b"now\n", server)
        return _modified_s(now_uri, server) - written_s
    except (NotImplementedError, KeyError):  # so fsspec answers for a storage without times, or an object without one
        return None
    finally:
        with suppress(Ds2RayError):
            delete(now_uri, server)


def _modified_s(uri: str, server: Server | None) -> float:
    with reporting(uri, "look at its time", server):
        if is_local(uri):
            return os.stat(local_path(uri)).st_mtime
        connection, path = connect(uri, server)
        return float(connection.modified(path).timestamp())
