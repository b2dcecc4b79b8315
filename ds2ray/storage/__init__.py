"""Bytes, JSON and tables by URI: the only place that knows how an address is read and written."""

from ds2ray.storage.objects import (
    ObjectInfo,
    arrow_filesystem,
    configure,
    delete,
    exists,
    list_objects,
    open_read,
    read_bytes,
    read_json,
    read_table,
    stat_many,
    write_bytes,
    write_json,
    write_table,
)
from ds2ray.uris import absolute, is_local, join, local_path, parent, resolve

__all__ = [
    "ObjectInfo",
    "absolute",
    "arrow_filesystem",
    "configure",
    "delete",
    "exists",
    "is_local",
    "join",
    "list_objects",
    "local_path",
    "open_read",
    "parent",
    "read_bytes",
    "read_json",
    "read_table",
    "resolve",
    "stat_many",
    "write_bytes",
    "write_json",
    "write_table",
]
