"""JSON documents and Parquet tables by URI, on the given server or the process's current one."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ds2ray.errors import ArtifactCorruptError, Ds2RayError, InputError
from ds2ray.storage.objects import open_read, read_bytes, write_bytes
from ds2ray.storage.server import Server

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ROWS = 20_000_000
"""Rows of a Parquet table at most: a file of some kilobytes may claim more than any memory holds."""


def read_json(uri: str, server: Server | None = None) -> Any:
    """The decoded JSON document. Raises ArtifactCorruptError where the object is not one."""
    data = read_bytes(uri, server)
    try:
        return json.loads(data)
    except ValueError as error:
        raise ArtifactCorruptError(f"{uri}: not a JSON document: {error}; restore it or delete it") from error


def write_json(uri: str, document: Any, server: Server | None = None) -> None:
    """Write a JSON document, readable for people, in UTF-8."""
    write_bytes(uri, (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode(), server)


def read_table(uri: str, columns: list[str] | None = None, server: Server | None = None) -> "pa.Table":
    """A Parquet table, or some of its columns (only these are fetched). Raises InputError where the object is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = pa.BufferReader(read_bytes(uri, server)) if columns is None else open_read(uri, server)
    with source, parquet_of(f"{uri}: not a readable Parquet table"), pq.ParquetFile(source) as file:
        if file.metadata.num_rows > MAX_ROWS:
            raise InputError(f"{uri}: {file.metadata.num_rows} rows, and {MAX_ROWS} are read at most; divide it")
        return file.read(columns=columns)


@contextmanager
def parquet_of(what: str) -> Iterator[None]:
    """A context in which whatever pyarrow says of a damaged file becomes an InputError that begins with `what`."""
    import pyarrow as pa

    try:
        yield
    except (Ds2RayError, FileNotFoundError):  # of the storage that it is read from
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:  # OSError: of a footer
        raise InputError(f"{what}: {' '.join(str(error).split())}") from error


def write_table(uri: str, table: "pa.Table", server: Server | None = None) -> None:
    """Write a Parquet table (zstd)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(uri, sink.getvalue().to_pybytes(), server)
