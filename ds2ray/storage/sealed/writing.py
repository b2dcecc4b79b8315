"""The writing of sealed Parquet tables; see `tables`."""

import io
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ds2ray.storage.sealed.tables import (
    CHUNK_DIGITS,
    CHUNKS,
    FOOTER,
    FOOTER_DIGITS,
    chunk_place,
    digest,
    leaves_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_ROWS = 2**20  # of a row group, where the writer has no other wish


def encode_table(table: "pa.Table", compression: Any = "zstd") -> bytes:
    """The sealed Parquet file of a table."""
    groups = [table.slice(start, _GROUP_ROWS) for start in range(0, len(table), _GROUP_ROWS)]
    return encode_groups(table.schema, groups, compression=compression)


def encode_groups(
    schema: "pa.Schema", groups: Iterable["pa.Table"], described: Mapping[str, str] | None = None, **options: Any
) -> bytes:
    """The sealed Parquet file of row groups, each of them a table.

    Args:
        described: what the footer says of the file, by keys.
        options: of pyarrow's ParquetWriter.
    """
    import pyarrow.parquet as pq

    sink, num_groups = io.BytesIO(), 0
    with pq.ParquetWriter(sink, schema, write_page_checksum=True, **options) as writer:
        for group in groups:
            writer.write_table(group, row_group_size=max(1, len(group)))
            num_groups += 1
        chunks = b"0" * (CHUNK_DIGITS * num_groups * _num_leaves(schema))
        said: dict[bytes, bytes] = {key.encode(): text.encode() for key, text in (described or {}).items()}
        writer.add_key_value_metadata({**said, CHUNKS: chunks, FOOTER: b"0" * FOOTER_DIGITS})
    return _sealed(sink.getbuffer(), len(chunks))


def _num_leaves(schema: "pa.Schema") -> int:
    """More than the columns of the file at worst: a nested type has one for each type in it."""
    return sum(1 + str(field.type).count("<") + str(field.type).count(",") for field in schema)


def _sealed(data: memoryview, chunk_digits: int) -> bytes:
    """A file whose seal is filled in."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = pq.ParquetFile(pa.BufferReader(data)).metadata
    places = [
        chunk_place(metadata, group, leaf) for group in range(metadata.num_row_groups) for leaf in leaves_of(metadata)
    ]
    digests = "".join(digest(data[start:end])[:CHUNK_DIGITS] for start, end in places)
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer = bytearray(data[start:])
    if chunk_digits:
        _fill(footer, CHUNKS, digests.ljust(chunk_digits, "0").encode())
    _fill(footer, FOOTER, digest(footer).encode())
    return bytes(data[:start]) + bytes(footer)


def _fill(footer: bytearray, key: bytes, value: bytes) -> None:
    """Replace the value of a key in the footer, zeros of the same length."""
    start = footer.index(b"0" * len(value), footer.rindex(key) + len(key))
    footer[start : start + len(value)] = value
