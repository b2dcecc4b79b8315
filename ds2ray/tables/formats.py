"""The formats of tables, told by their names."""

import gzip
import zlib
from pathlib import PurePosixPath

from ds2ray import storage
from ds2ray.errors import InputError

CSV, TSV, JSON_LINES, JSON, PARQUET = ".csv", ".tsv", ".jsonl", ".json", ".parquet"
GZIP = ".gz"
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
        InputError: it is damaged.
    """
    data = storage.read_bytes(uri)
    if not uri.lower().endswith(GZIP):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{uri}: cannot be unpacked ({error}); write it again") from error
