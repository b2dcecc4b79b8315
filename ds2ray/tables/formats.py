"""The formats of tables, told by their names."""

import gzip
import io
import zlib
from pathlib import PurePosixPath

from ds2ray import storage
from ds2ray.errors import InputError

CSV, TSV, JSON_LINES, JSON, PARQUET = ".csv", ".tsv", ".jsonl", ".json", ".parquet"
GZIP = ".gz"
TABLES = (CSV, TSV, JSON_LINES, JSON, PARQUET)

MAX_UNPACKED_BYTES = 2 * 2**30
"""Bytes of a packed table of text: that of ten million rows. A small file may unpack to any size."""

_BLOCK_BYTES = 2**20


def table_format(uri: str) -> str:
    """The suffix of a table's URI, in lower case; of packed text that which stands before `.gz`."""
    path = PurePosixPath(uri.lower())
    packed = PurePosixPath(path.stem).suffix if path.suffix == GZIP else ""
    return packed if packed in TABLES and packed != PARQUET else path.suffix


def read_unpacked(uri: str) -> bytes:
    """The bytes of a table, unpacked where its name ends in `.gz`.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is damaged, or larger than `MAX_UNPACKED_BYTES` once it is unpacked.
    """
    data = storage.read_bytes(uri)
    if not uri.lower().endswith(GZIP):
        return data
    try:
        with gzip.open(io.BytesIO(data)) as file:
            unpacked = bytearray()
            while len(unpacked) <= MAX_UNPACKED_BYTES and (block := file.read(_BLOCK_BYTES)):
                unpacked += block
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{uri}: cannot be unpacked ({error}); write it again") from error
    if len(unpacked) > MAX_UNPACKED_BYTES:
        raise InputError(f"{uri}: more than {MAX_UNPACKED_BYTES} bytes unpacked, which are allowed; divide the table")
    return bytes(unpacked)
