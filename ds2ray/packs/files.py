"""Packs: Parquet files of utterances with the bytes of their audio, each a manifest that holds everything.

    columns      utterance_id, user_id, audio (binary: a whole audio file), duration_s, transcript
    row groups   of about 8 MB of audio, so that a reader needs that much memory, whatever the size of the file
    compression  none for audio, which mostly is compressed already; zstd for the rest

A pack is read whole with one request (`read_manifest`), or row group by row group (`read_shard`).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ds2ray import storage
from ds2ray.errors import InputError
from ds2ray.naming import named
from ds2ray.storage.sealed import contents
from ds2ray.storage.sealed.tables import TableFile
from ds2ray.storage.sealed.writing import encode_groups
from ds2ray.tables.manifest import COLUMNS, Utterance

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_GROUP_BYTES = 8 * 2**20
_AGAIN = f"pack it again ({named('prepare')})"
_ROW_COLUMNS = ("utterance_id", "user_id", "duration_s", "transcript")


def content_version(utterances: Iterable[Utterance]) -> str:
    """The version of a pack: 32 hex digits of a digest over ids, transcripts and bytes of audio, in any order.

    Durations are left out, because the audio decides them. The encoding as Parquet has no part in it: the same speech
    packed by another release has the same version.
    """
    rows: list[tuple[str, str, str, bytes]] = []
    for u in sorted(utterances, key=lambda u: (u.user_id, u.utterance_id)):
        if not isinstance(u.audio, bytes):
            raise TypeError(f"{u.utterance_id}: a pack holds bytes of audio, not {u.audio!r}")
        rows.append((u.user_id, u.utterance_id, u.transcript, u.audio))
    return contents.content_version(rows)


def encode_pack(utterances: Sequence[Utterance]) -> bytes:
    """The Parquet file of utterances whose audio is bytes, in their order."""
    import pyarrow as pa

    types = {"audio": pa.binary(), "duration_s": pa.float64()}
    schema = pa.schema([(column, types.get(column, pa.string())) for column in COLUMNS])

    def table(group: Sequence[Utterance]) -> pa.Table:
        cells = zip(*((u.utterance_id, u.user_id, u.audio, u.duration_s, u.transcript) for u in group), strict=True)
        columns = [pa.array(column, field.type) for column, field in zip(cells, schema, strict=True)]
        return pa.Table.from_arrays(columns, schema=schema)

    compression = {column: "none" if column == "audio" else "zstd" for column in COLUMNS}
    groups = map(table, _row_groups(utterances))
    described = {contents.VERSION: content_version(utterances)}
    return encode_groups(schema, groups, described, compression=compression, use_dictionary=["user_id"])


def _row_groups(utterances: Sequence[Utterance]) -> Iterator[Sequence[Utterance]]:
    start, size_bytes = 0, 0
    for end, utterance in enumerate(utterances):
        if size_bytes >= _ROW_GROUP_BYTES:
            yield utterances[start:end]
            start, size_bytes = end, 0
        size_bytes += len(utterance.audio)
    if start < len(utterances):
        yield utterances[start:]


def read_shard(uri: str, row_groups: Iterable[int] | None = None) -> Iterator[Utterance]:
    """The utterances of a pack with their audio's bytes, in its order; only one row group is in memory at a time.

    Args:
        row_groups: the row groups to read, in this order; None: all. `manifest.parquet` has each utterance's.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: the file is no pack.
    """
    with _opened(uri) as file:
        groups = _rows_of_groups(file)
        for group in range(len(groups)) if row_groups is None else row_groups:
            if not 0 <= group < len(groups):
                raise InputError(f"{uri}: has no row group {group}, but {len(groups)}; {_AGAIN}")
            table = file.read(COLUMNS, [group])
            columns = [table[name].to_pylist() for name in COLUMNS]
            del table
            for line, cells in enumerate(zip(*columns, strict=True), sum(groups[:group]) + 1):
                utterance_id, user_id, audio, duration_s, transcript = cells
                yield Utterance(utterance_id, user_id, audio, duration_s, transcript, line)


def pack_rows(uri: str) -> "pa.Table":
    """The rows of a pack without their audio, which is not fetched.

    Returns:
        Columns utterance_id, user_id, duration_s, transcript, row_group (from 0) and row (in the pack, from 1).
    """
    import pyarrow as pa

    with _opened(uri) as file:
        table = file.read(_ROW_COLUMNS).combine_chunks()
        groups = [i for i, rows in enumerate(_rows_of_groups(file)) for _ in range(rows)]
    table = table.append_column("row_group", pa.array(groups, pa.int32()))
    return table.append_column("row", pa.array(range(1, len(groups) + 1), pa.int32()))


def _rows_of_groups(file: TableFile) -> list[int]:
    return [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]


@contextmanager
def _opened(uri: str) -> Iterator[TableFile]:
    """A context with a pack whose parts are fetched as they are read. Raises InputError where the file is no pack."""
    with storage.open_read(uri) as source:
        file = TableFile(source, uri, "a pack of utterances", _AGAIN)
        contents.require_named_version(file)
        missing = [name for name in COLUMNS if name not in file.schema.names]
        if missing:
            raise InputError(f"{uri}: not a pack of utterances: it has no column {' or '.join(missing)}")
        yield file
