"""JSON documents and Parquet tables by URI, on the given server or the process's current one."""

import json
from typing import TYPE_CHECKING, Any

from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.storage.objects import open_read, read_bytes, write_bytes
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
    """A Parquet table, or some of its columns (only these are fetched). Raises InputError where the object is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = pa.BufferReader(read_bytes(uri, server)) if columns is None else open_read(uri, server)
    try:
        with pq.ParquetFile(source) as file:
            return file.read(columns=columns)
    except pa.ArrowException as error:
        raise InputError(f"{uri}: not a readable Parquet table: {error}") from error
    finally:
        source.close()


def write_table(uri: str, table: "pa.Table", server: Server | None = None) -> None:
    """Write a Parquet table (zstd)."""
    write_bytes(uri, table_bytes(table), server)


def table_bytes(table: "pa.Table") -> bytes:
    """The Parquet file of a table (zstd)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def parse_table(uri: str, data: bytes) -> "pa.Table":
    """The table in a Parquet file. Raises InputError where it is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            return file.read()
    except pa.ArrowException as error:
        raise InputError(f"{uri}: not a readable Parquet table: {error}") from error
