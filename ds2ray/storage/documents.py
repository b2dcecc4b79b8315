"""JSON documents and Parquet tables by URI, on the given server or the process's current one."""

import io
import json
from typing import TYPE_CHECKING, Any

from ds2ray.errors import ArtifactCorruptError
from ds2ray.storage.objects import open_read, read_bytes, write_bytes
from ds2ray.storage.sealed.contents import require_content
from ds2ray.storage.sealed.tables import TableFile
from ds2ray.storage.sealed.writing import encode_table
from ds2ray.storage.server import Server

if TYPE_CHECKING:
    import pyarrow as pa


def read_json(uri: str, server: Server | None = None) -> Any:
    """The decoded JSON document. Raises ArtifactCorruptError where the object is not one."""
    data = read_bytes(uri, server)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ArtifactCorruptError(f"{uri}: not a JSON document: {error}; restore it or delete it") from error


def write_json(uri: str, document: Any, server: Server | None = None) -> None:
    """Write a JSON document, readable for people, in UTF-8."""
    write_bytes(uri, (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode(), server)


def read_table(uri: str, columns: list[str] | None = None, server: Server | None = None) -> "pa.Table":
    """A Parquet table, or some of its columns (only these are fetched).

    Raises:
        InputError: the object is none, is damaged, or claims more than the limits of `sealed.tables`.
    """
    if columns is None:
        return parse_table(uri, read_bytes(uri, server))
    with open_read(uri, server) as source:
        return TableFile(source, uri).read(columns)


def write_table(uri: str, table: "pa.Table", server: Server | None = None) -> None:
    """Write a Parquet table (zstd), sealed."""
    write_bytes(uri, encode_table(table), server)


def parse_table(uri: str, data: bytes) -> "pa.Table":
    """The table in the bytes of an object.

    Raises:
        InputError: they are none, are damaged, or claim more than the limits of `sealed.tables`.
    """
    with io.BytesIO(data) as source:
        file = TableFile(source, uri)
        table = file.read(None)
        require_content(file, table)
        return table
