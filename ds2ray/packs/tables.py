"""The tables that name the packs. Writing one is the commit: readers see all packs of a run or those of the one before.

    <output>/users.parquet      user_id, manifest, version, speech_s, num_utterances; packs in users/
    <output>/manifest.parquet   utterance_id, user_id, shard, row_group, row, duration_s, transcript; packs in shards/

`manifest` and `shard` are relative to the table. A pack's version stands in its name, so that packs never change:
whoever goes by an older table still finds what it names, a run that is killed leaves the table before it whole, and
what is stored under a version need not be looked at again.
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
_THREADS = 16  # packs whose rows are being read at once


def table_uri(output_uri: str, by: PackBy) -> str:
    return storage.join(output_uri, TABLE[by])


def named_packs(output_uri: str, by: PackBy) -> set[str]:
    """File names of the packs in the table that is there; without one, none."""
    uri = table_uri(output_uri, by)
    if not storage.exists(uri):
        return set()
    column = storage.read_table(uri, [_PACK_COLUMN[by]])[_PACK_COLUMN[by]]
    return {PurePosixPath(path).name for path in column.unique().to_pylist()}


def shard_of_utterance(output_uri: str) -> dict[str, int]:
    """The number of the shard that holds each utterance, by the manifest that is there; without one, none."""
    uri = table_uri(output_uri, PackBy.shard)
    if not storage.exists(uri):
        return {}
    table = storage.read_table(uri, ["utterance_id", "shard"])
    ids, shards = table["utterance_id"].to_pylist(), table["shard"].to_pylist()
    number_of = {path: int(PurePosixPath(path).name.partition(".")[0].rpartition("-")[2]) for path in set(shards)}
    return {key: number_of[path] for key, path in zip(ids, shards, strict=True)}


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
            pool.shutdown(cancel_futures=True)  # a store that does not answer is not asked for all the others
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
