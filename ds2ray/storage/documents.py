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
        return _read(TableFile(source, uri), columns)


def write_table(uri: str, table: "pa.Table", server: Server | None = None) -> None:
    """Write a Parquet table (zstd), sealed."""
    write_bytes(uri, table_bytes(table), server)


def table_bytes(table: "pa.Table") -> bytes:
    """The Parquet file of a table (zstd), sealed."""
    return encode_table(table)


def parse_table(uri: str, data: bytes, columns: list[str] | None = None) -> "pa.Table":
    """The table in a Parquet file; errors are those of `read_table`."""
    return _read(TableFile(io.BytesIO(data), uri), columns)


def _read(file: TableFile, columns: list[str] | None) -> "pa.Table":
    table = file.read(columns)
    if columns is None:
        require_content(file, table)
    return table
