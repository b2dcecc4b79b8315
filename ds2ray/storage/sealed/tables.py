"""Sealed Parquet tables: the footer holds a checksum of itself and of each column chunk, so that whatever part is read
is checked as a whole. Parquet's own checksums, which are written and verified, too, cover neither footer nor headers.

Any reader of Parquet reads them. Tables without a seal, of other programs and earlier releases, are read as they are.
"""

import hashlib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from ds2ray.errors import Ds2RayError, InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAX_ROWS = 10_000_000
"""Rows of a table: ten times those of a fleet of a million users. A small file may claim any number."""

MAX_DECODED_BYTES = 8 * 2**30
"""Bytes of what is read of a table at once, after decompression."""

MAX_CELL_BYTES = 512 * 2**20
"""Bytes of a cell: more than four hours of audio, as 16-bit samples at 16 kHz."""

_MAGIC = b"PAR1"
_TAIL_BYTES = 2**16  # read at once from the end of a file: mostly the whole footer
_MAX_FOOTER_BYTES = 256 * 2**20

CHUNKS, FOOTER = b"ds2ray.chunks", b"ds2ray.footer"
"""Keys of the seal: digests of all column chunks, one behind the other; that of the footer, its own digits zeros."""
CHUNK_DIGITS, FOOTER_DIGITS = 32, 64

# a key and a value of the footer, as Thrift's compact protocol writes them: field 2, binary, its length, its bytes
_SEAL = re.compile(re.escape(FOOTER) + rb"\x18\x40([0-9a-f]{64})")


def digest(data: Any) -> str:
    """sha256 in hex digits."""
    return hashlib.sha256(data).hexdigest()


def leaves_of(metadata: "pq.FileMetaData") -> range:
    """Numbers of the columns of a file, each part of a nested one by itself."""
    return range(metadata.num_columns)


def chunk_place(metadata: "pq.FileMetaData", group: int, leaf: int) -> tuple[int, int]:
    """Where a column chunk begins and ends in the file."""
    column = metadata.row_group(group).column(leaf)
    start = column.data_page_offset
    if column.has_dictionary_page and column.dictionary_page_offset is not None:
        start = min(start, column.dictionary_page_offset)
    return start, start + column.total_compressed_size


class TableFile:
    """An open Parquet file, sealed or not, of which parts can be read.

    Args:
        source: seekable, of which only the parts that are read are fetched.
        uri: for messages.
        kind: what it has to be, and …
        remedy: … what to do where it is damaged, for messages.

    Raises:
        InputError: it is no Parquet file, or is damaged, or claims too many rows.
    """

    def __init__(
        self,
        source: BinaryIO,
        uri: str,
        kind: str = "a readable Parquet table",
        remedy: str = "restore it or make it anew",
    ) -> None:
        import pyarrow.parquet as pq

        self.uri = uri
        self._kind, self._remedy = kind, remedy
        self._source = source
        self._size = source.seek(0, io.SEEK_END)
        footer = self._footer()
        self._parts = {self._size - len(footer): footer}
        seal = _SEAL.search(footer)
        self.is_sealed = seal is not None
        if seal and not _is_intact(footer, seal):
            raise self._damaged("its footer does not match its checksum")
        with self._decoding():
            self.metadata: pq.FileMetaData = pq.read_metadata(_Sparse(self._size, self._parts))
            self.schema: pa.Schema = self.metadata.schema.to_arrow_schema()
        self.described = {
            str(key, "utf-8", "replace"): str(text, "utf-8", "replace")
            for key, text in (self.metadata.metadata or {}).items()
        }
        self._digests = self._stored_digests() if seal else []
        if self.metadata.num_rows > MAX_ROWS:
            raise self._too_much(f"claims {self.metadata.num_rows} rows", f"{MAX_ROWS} rows")

    def read(self, columns: Sequence[str] | None = None, groups: Sequence[int] | None = None) -> "pa.Table":
        """Some columns of some row groups; None: all. Columns that the file has not are left out.

        Raises:
            InputError: what is read is damaged or too large.
        """
        import pyarrow.parquet as pq

        numbers = range(self.metadata.num_row_groups) if groups is None else groups
        leaves = [leaf for leaf in leaves_of(self.metadata) if columns is None or self._is_of(leaf, columns)]
        self._require_bounded(numbers, leaves)
        with self._decoding():
            source = self._verified(numbers, leaves)
            options: dict[str, Any] = {"page_checksum_verification": True, "pre_buffer": not self.is_sealed}
            with pq.ParquetFile(source, read_dictionary=self._repeating(numbers, leaves), **options) as file:
                wanted = None if columns is None else list(columns)
                table = file.read_row_groups(list(numbers), columns=wanted) if numbers else file.read(columns=wanted)
            table = self._plain(table)
            table.validate(full=not self.is_sealed)
        self._require_small_cells(table)
        return table

    def _footer(self) -> bytes:
        """The footer, its length and the magic bytes that end the file."""
        tail = self._at(max(0, self._size - _TAIL_BYTES), self._size)
        length = int.from_bytes(tail[-8:-4], "little") + 8
        if tail[-4:] != _MAGIC or not 8 < length <= self._size - len(_MAGIC):
            raise self._unreadable("it does not end as Parquet does")
        if length > _MAX_FOOTER_BYTES:
            raise self._too_much(f"claims a footer of {length} bytes", f"{_MAX_FOOTER_BYTES} bytes")
        return tail[-length:] if length <= len(tail) else self._at(self._size - length, self._size)

    def _at(self, start: int, end: int) -> bytes:
        self._source.seek(start)
        return self._source.read(end - start)

    def _stored_digests(self) -> list[str]:
        text = self.described.get(CHUNKS.decode(), "")
        return [text[i : i + CHUNK_DIGITS] for i in range(0, len(text), CHUNK_DIGITS)]

    def _is_of(self, leaf: int, columns: Sequence[str]) -> bool:
        path = self.metadata.schema.column(leaf).path
        return any(path == name or path.startswith(f"{name}.") for name in columns)

    def _verified(self, groups: Sequence[int], leaves: Sequence[int]) -> Any:
        """The source of what is wanted: of a sealed file the chunks alone, fetched and checked."""
        if not self.is_sealed:
            self._source.seek(0)
            return self._source
        places = sorted(
            (*chunk_place(self.metadata, group, leaf), group * self.metadata.num_columns + leaf)
            for group in groups
            for leaf in leaves
        )
        parts = dict(self._parts)
        for run in _adjacent(places):
            start = run[0][0]
            data = memoryview(self._at(start, run[-1][1]))
            for first, last, number in run:
                if digest(data[first - start : last - start])[:CHUNK_DIGITS] != self._digests[number]:
                    column = self.metadata.schema.column(number % self.metadata.num_columns).path
                    raise self._damaged(f"column {column} does not match its checksum")
            parts[start] = bytes(data)
        return _Sparse(self._size, parts)

    def _require_bounded(self, groups: Sequence[int], leaves: Sequence[int]) -> None:
        chunks = [self.metadata.row_group(group).column(leaf) for group in groups for leaf in leaves]
        sizes = [chunk.total_uncompressed_size for chunk in chunks]
        if min(sizes, default=0) < 0 or sum(sizes) > MAX_DECODED_BYTES:
            raise self._too_much(f"claims {sum(sizes)} bytes of data", f"{MAX_DECODED_BYTES} bytes at once")
        for chunk, size in zip(chunks, sizes, strict=True):
            if size > max(1, chunk.num_values) * MAX_CELL_BYTES:
                raise self._too_much(f"claims a cell of {size} bytes", f"{MAX_CELL_BYTES} bytes in a cell")

    def _repeating(self, groups: Sequence[int], leaves: Sequence[int]) -> list[str]:
        """The columns of text whose few distinct values could be far more once each stands in its rows."""
        if self.is_sealed:
            return []
        chunks = [self.metadata.row_group(group).column(leaf) for group in groups for leaf in leaves]
        return sorted(
            {
                chunk.path_in_schema
                for chunk in chunks
                if chunk.physical_type == "BYTE_ARRAY"
                and chunk.has_dictionary_page
                and chunk.total_uncompressed_size * chunk.num_values > MAX_DECODED_BYTES
            }
        )

    def _plain(self, table: "pa.Table") -> "pa.Table":
        """A table with every value in its row, where that is not too much."""
        import pyarrow as pa
        import pyarrow.compute as pc

        fields = [self.schema.field(name) for name in table.column_names]
        made = [i for i, field in enumerate(fields) if not table.schema.field(i).type.equals(field.type)]
        total = 0
        for chunk in (chunk for i in made for chunk in table.column(i).chunks):
            lengths = pc.binary_length(chunk.dictionary).cast(pa.int64())
            total += pc.sum(lengths.take(chunk.indices)).as_py() or 0
        if total > MAX_DECODED_BYTES:
            raise self._too_much(f"repeats values to {total} bytes of data", f"{MAX_DECODED_BYTES} bytes at once")
        for i in made:
            table = table.set_column(i, fields[i], table.column(i).cast(fields[i].type))
        return table

    def _require_small_cells(self, table: "pa.Table") -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        for name, column in zip(table.column_names, table.columns, strict=True):
            if pa.types.is_binary(column.type) or pa.types.is_string(column.type):
                longest = pc.max(pc.binary_length(column)).as_py() or 0
                if longest > MAX_CELL_BYTES:
                    raise self._too_much(f"has {longest} bytes in a cell of {name}", f"{MAX_CELL_BYTES} bytes")

    def _decoding(self) -> "_Decoding":
        return _Decoding(self)

    def _unreadable(self, reason: object) -> InputError:
        return InputError(f"{self.uri}: not {self._kind}: {reason}; {self._remedy}")

    def _damaged(self, reason: str) -> InputError:
        return self._unreadable(f"it is damaged: {reason}")

    def _too_much(self, claim: str, limit: str) -> InputError:
        return InputError(f"{self.uri}: {claim}, and {limit} are allowed; divide it, or {self._remedy}")


class _Decoding:
    """A context in which errors of the decoder are turned into InputError; those of storage stay."""

    def __init__(self, file: TableFile) -> None:
        self._file = file

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, *rest: object) -> None:
        import pyarrow as pa

        # the decoder raises OSError and its kin for damage, MemoryError for impossible sizes, ValueError for text
        of_decoder = isinstance(
            error, pa.ArrowException | OSError | ValueError | MemoryError | OverflowError | IndexError
        )
        if of_decoder and not isinstance(error, Ds2RayError | FileNotFoundError):
            raise self._file._unreadable(error) from error


def _is_intact(footer: bytes, seal: "re.Match[bytes]") -> bool:
    blank = bytearray(footer)
    blank[seal.start(1) : seal.end(1)] = b"0" * FOOTER_DIGITS
    return digest(blank).encode() == seal[1]


def _adjacent(places: Iterable[tuple[int, int, int]]) -> list[list[tuple[int, int, int]]]:
    """Sorted places in runs that lie side by side in the file, each of which is fetched by one request."""
    runs: list[list[tuple[int, int, int]]] = []
    for place in places:
        if runs and runs[-1][-1][1] == place[0]:
            runs[-1].append(place)
        else:
            runs.append([place])
    return runs


class _Sparse(io.RawIOBase):
    """A file of which some parts are in memory, by their start; everything between them reads as zeros."""

    def __init__(self, size: int, parts: Mapping[int, bytes]) -> None:
        self._size, self._parts, self._position = size, parts, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        start = self._position
        end = self._size if size < 0 else min(self._size, start + size)
        self._position = max(start, end)
        for first, part in self._parts.items():
            if first <= start and end <= first + len(part):
                return bytes(memoryview(part)[start - first : end - first])
        data = bytearray(max(0, end - start))
        for first, part in self._parts.items():
            low, high = max(first, start), min(first + len(part), end)
            if low < high:
                data[low - start : high - start] = part[low - first : high - first]
        return bytes(data)
