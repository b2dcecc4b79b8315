"""Shards of utterances and their manifest.parquet, as jobs/prepare.py writes them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from ds2ray import storage
from ds2ray.packs.files import encode_pack, pack_rows
from ds2ray.tables.manifest import Utterance


def pack(folder: Path | str, utterances: Sequence[Utterance], num_shards: int = 2) -> str:
    """Write the audio files of utterances into shards in turn; returns the URI of the manifest."""
    root = str(folder)
    tables = []
    for number in range(num_shards):
        own = [replace(u, audio=Path(str(u.audio)).read_bytes()) for u in utterances[number::num_shards]]
        name = f"shards/{number}.parquet"
        uri = storage.join(root, name)
        storage.write_bytes(uri, encode_pack(own))
        rows = pack_rows(uri)
        tables.append(rows.append_column("shard", pa.array([name] * len(rows))))
    manifest = storage.join(root, "manifest.parquet")
    storage.write_table(manifest, pa.concat_tables(tables))
    return manifest
