"""The formats of tables, told by their names."""

import gzip
import io
import zlib
from pathlib import PurePosixPath

from ds2ray import storage
from ds2ray.errors import InputError

CSV, TSV, JSON_LINES, JSON, PARQUET = ".csv", ".tsv", ".jsonl", ".json", ".parquet"
GZIP = ".gz"
MAX_BYTES = 4 * 2**30
"""Bytes of a table of text at most, unpacked: some kilobytes of gzip may claim more than any memory holds."""
TABLES = (CSV, TSV, JSON_LINES, JSON, PARQUET)


def table_format(uri: str) -> str:
    """The suffix of a table's URI, in lower case; of packed text that which stands before `.gz`."""
    path = PurePosixPath(uri.lower())
    packed = PurePosixPath(path.stem).suffix if path.suffix == GZIP else ""
    return packed if packed in TABLES and packed != PARQUET else path.suffix


def read_unpacked(uri: str) -> bytes:
    """The bytes of a table, unpacked where its name ends in `.gz`.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is damaged, or too large.
    """
    data = storage.read_bytes(uri)
    if not uri.lower().endswith(GZIP):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            unpacked = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{uri}: cannot be unpacked ({error}); write it again") from error
    if len(unpacked) > MAX_BYTES:
        raise InputError(f"{uri}: {too_large(len(unpacked))}")
    return unpacked


def too_large(size_bytes: int) -> str:
    """Why a table of so many bytes, or more, is not read; empty where it is."""
    if size_bytes <= MAX_BYTES:
        return ""
    return f"is larger than the {MAX_BYTES / 2**30:g} GiB of a table at most; divide it, or write Parquet"
