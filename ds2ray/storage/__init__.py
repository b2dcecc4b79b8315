"""Bytes, JSON and tables by URI: the only room that reads and writes storage."""

from typing import TYPE_CHECKING

from ds2ray.storage.connections import known_to_answer
from ds2ray.storage.documents import parse_table, read_json, read_table, table_bytes, write_json, write_table
from ds2ray.storage.faults import UNREACHED, AddressFault, asked, fault_of
from ds2ray.storage.listing import ObjectInfo, list_objects, stat_many, why_no_file
from ds2ray.storage.objects import delete, exists, open_read, read_bytes, write_bytes
from ds2ray.storage.outages.bearing import bearing_outages
from ds2ray.storage.reach import root_of, why_refused
from ds2ray.storage.server import Server, current_server, using
from ds2ray.storage.traffic import Traffic, traffic_so_far
from ds2ray.storage.walking import Found, remove_empty_folders, walk
from ds2ray.storage.writers.ages import age_s
from ds2ray.storage.writers.conditional import Seen, honours_conditions, read_seen, write_where_seen
from ds2ray.uris import absolute, is_local, join, local_path, parent, resolve

if TYPE_CHECKING:
    import pyarrow.fs

__all__ = [
    "UNREACHED",
    "AddressFault",
    "Found",
    "ObjectInfo",
    "Seen",
    "Server",
    "Traffic",
    "absolute",
    "age_s",
    "arrow_filesystem",
    "asked",
    "bearing_outages",
    "current_server",
    "delete",
    "exists",
    "fault_of",
    "honours_conditions",
    "is_local",
    "join",
    "known_to_answer",
    "list_objects",
    "local_path",
    "open_read",
    "parent",
    "parse_table",
    "read_bytes",
    "read_json",
    "read_seen",
    "read_table",
    "remove_empty_folders",
    "resolve",
    "root_of",
    "stat_many",
    "table_bytes",
    "traffic_so_far",
    "using",
    "walk",
    "why_no_file",
    "why_refused",
    "write_bytes",
    "write_json",
    "write_table",
    "write_where_seen",
]


def arrow_filesystem(uri: str) -> tuple["pyarrow.fs.FileSystem", str]:
    """The filesystem and the path in it, for libraries that take pyarrow's (Ray Train's checkpoints)."""
    from ds2ray.storage import arrow  # imports pyarrow

    return arrow.filesystem(uri)
