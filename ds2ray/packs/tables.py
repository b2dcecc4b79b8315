"""The tables that name the packs. Writing one is the commit: a reader sees all packs of one run or of the one before.

    <output>/users.parquet      user_id, manifest, version, speech_s, num_utterances; packs in users/
    <output>/manifest.parquet   utterance_id, user_id, shard, row_group, row, duration_s, transcript; packs in shards/

`manifest` and `shard` are relative to the table. A pack's version is part of its file name, so that a pack never
changes: a reader of an older table still finds the packs that it names, a killed run leaves the table before it whole,
and a stored version need not be read again.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ds2ray import storage
from ds2ray.config import PackBy
from ds2ray.packs.files import pack_rows
from ds2ray.packs.ledger import Packed

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = {PackBy.user: "users", PackBy.shard: "shards"}
TABLE = {PackBy.user: "users.parquet", PackBy.shard: "manifest.parquet"}
_PACK_COLUMN = {PackBy.user: "manifest", PackBy.shard: "shard"}
_THREADS = 16  # packs whose rows are read at once


def table_uri(output_uri: str, by: PackBy) -> str:
    return storage.join(output_uri, TABLE[by])


def named_packs(output_uri: str, by: PackBy) -> set[str]:
    """File names of the packs that the stored table names; empty without a table."""
    uri = table_uri(output_uri, by)
    if not storage.exists(uri):
        return set()
    column = storage.read_table(uri, [_PACK_COLUMN[by]])[_PACK_COLUMN[by]]
    return {PurePosixPath(path).name for path in column.unique().to_pylist()}


def shard_of_utterance(output_uri: str) -> dict[str, int]:
    """Number of the shard by utterance id, and by that of a recording whose segments the shard holds (`talk` for
    `talk@0.5-3.25`), from the stored manifest.parquet; empty without one."""
    uri = table_uri(output_uri, PackBy.shard)
    if not storage.exists(uri):
        return {}
    table = storage.read_table(uri, ["utterance_id", "shard"])
    ids, shards = table["utterance_id"].to_pylist(), table["shard"].to_pylist()
    number_of = {path: int(PurePosixPath(path).name.partition(".")[0].rpartition("-")[2]) for path in set(shards)}
    numbers = [number_of[path] for path in shards]
    return {key.rpartition("@")[0]: number for key, number in zip(ids, numbers, strict=True)} | dict(
        zip(ids, numbers, strict=True)
    )


def write_users(output_uri: str, packs: Sequence[Packed], user_of: Mapping[str, str]) -> str:
    """Write users.parquet, by user id; returns its URI.

    Args:
        user_of: user ids by the names of the packs.
    """
    import pyarrow as pa

    rows = [
        {
            "user_id": user_of[packed.name],
            "manifest": f"{FOLDER[PackBy.user]}/{packed.file_name}",
            "version": packed.version,
            "speech_s": packed.speech_s,
            "num_utterances": packed.num_utterances,
        }
        for packed in sorted(packs, key=lambda packed: user_of[packed.name])
    ]
    types = {"speech_s": pa.float64(), "num_utterances": pa.int32()}
    names = ("user_id", "manifest", "version", "speech_s", "num_utterances")
    schema = pa.schema([(name, types.get(name, pa.string())) for name in names])
    uri = table_uri(output_uri, PackBy.user)
    storage.write_table(uri, pa.Table.from_pylist(rows, schema=schema))
    return uri


def write_manifest(output_uri: str, packs: Sequence[Packed]) -> str:
    """Write manifest.parquet from the rows of the shards, which are read without their audio; returns its URI."""
    import pyarrow as pa

    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            rows = list(pool.map(lambda packed: _rows_of_shard(output_uri, packed), packs))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # so that a store that fails is not asked for all the others
            raise
    uri = table_uri(output_uri, PackBy.shard)
    storage.write_table(uri, pa.concat_tables(rows))
    return uri


def _rows_of_shard(output_uri: str, packed: Packed) -> "pa.Table":
    import pyarrow as pa

    path = f"{FOLDER[PackBy.shard]}/{packed.file_name}"
    rows = pack_rows(storage.join(output_uri, path))
    rows = rows.append_column("shard", pa.array([path] * len(rows), pa.string()))
    return rows.select(["utterance_id", "user_id", "shard", "row_group", "row", "duration_s", "transcript"])
