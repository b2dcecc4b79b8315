"""What packs hold of erased users: a user's own packs, and their utterances in shards, with the tables that name both.

New shards come first, then the tables, then what they no longer name goes: a reader finds all that its table names, and
a kill anywhere leaves what a further erasure finds again.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ds2ray import storage
from ds2ray.config import PackBy
from ds2ray.errors import InputError
from ds2ray.packs.files import content_version, encode_pack, pack_rows, read_shard
from ds2ray.packs.tables import FOLDER, named_packs, table_uri
from ds2ray.storage import Server
from ds2ray.upkeep.erasing.mentions import Mentions
from ds2ray.upkeep.erasing.tables import clean_lines
from ds2ray.upkeep.packed import PackFolder

if TYPE_CHECKING:
    import pyarrow as pa

DROPPED = "dropped.csv"


def clean_packs(folder: PackFolder, mentions: Mentions, server: Server, dry_run: bool) -> tuple[int, int]:
    """Take the users out of a folder of packs; returns how many packs went or were written again, and how many rows."""
    with storage.using(server):
        own = [name for name in folder.packs if name.partition(".")[0] in mentions.keys]
        mixed = [name for name in folder.packs if name not in own and _holds(folder, name, mentions)]
        named = named_packs(folder.output_uri, folder.by)
        # one that no table names is of an earlier run, and goes as a whole
        renamed = {name: _without(folder, name, mentions, dry_run) for name in mixed if name in named}
        num_rows = _clean_tables(folder, mentions, mixed, renamed, dry_run)
        if not dry_run:
            for name in [*own, *mixed]:
                storage.delete(storage.join(folder.folder_uri, name))
    return len(own) + len(mixed), num_rows


def _holds(folder: PackFolder, name: str, mentions: Mentions) -> bool:
    """Whether a pack has utterances of one of the users; their audio is not read."""
    uri = storage.join(folder.folder_uri, name)
    try:
        return bool(mentions.in_table(storage.read_table(uri, ["user_id", "utterance_id"])))
    except (FileNotFoundError, InputError):
        return False


def _without(folder: PackFolder, name: str, mentions: Mentions, dry_run: bool) -> str:
    """Write a pack again without the users; returns the name of the new one, empty where nothing is left of it."""
    uri = storage.join(folder.folder_uri, name)
    kept = [u for u in read_shard(uri) if not mentions.is_user(u.user_id) and not mentions.in_text(u.utterance_id)]
    if not kept:
        return ""
    new = f"{name.partition('.')[0]}.{content_version(kept)}.parquet"
    if not dry_run:
        storage.write_bytes(storage.join(folder.folder_uri, new), encode_pack(kept))
    return new


def _clean_tables(
    folder: PackFolder, mentions: Mentions, mixed: list[str], renamed: dict[str, str], dry_run: bool
) -> int:
    """The table, then the ledger: its rows of these packs go, so that the next packing looks at their sources again."""
    import pyarrow as pa
    import pyarrow.compute as pc

    gone = 0
    uri = table_uri(folder.output_uri, folder.by)
    if storage.exists(uri):
        table = storage.read_table(uri)
        kept, gone = mentions.table_without(table)
        if folder.by is PackBy.shard:
            new = [f"{FOLDER[folder.by]}/{name}" for name in renamed.values() if name]
            old = [f"{FOLDER[folder.by]}/{name}" for name in renamed]
            touched = pc.is_in(kept["shard"], value_set=pa.array(old, pa.string()))
            if pc.any(touched).as_py():
                others = kept.filter(pc.invert(touched))
                added = [] if dry_run else [_rows(folder, path).select(table.column_names) for path in new]
                kept = pa.concat_tables([others, *added])
        if not kept.equals(table) and not dry_run:
            storage.write_table(uri, kept)
    for name in folder.ledgers:
        _clean(storage.join(folder.folder_uri, name), _ledger_rule(mentions, mixed), dry_run)
    dropped = storage.join(folder.output_uri, DROPPED)
    if storage.exists(dropped):
        data = storage.read_bytes(dropped)
        text, num_lines = clean_lines(data, mentions)
        gone += num_lines
        if num_lines and not dry_run:
            storage.write_bytes(dropped, text)
    return gone


def _rows(folder: PackFolder, path: str) -> "pa.Table":
    """The rows of a shard as manifest.parquet has them."""
    import pyarrow as pa

    rows = pack_rows(storage.join(folder.output_uri, path))
    return rows.append_column("shard", pa.array([path] * len(rows), pa.string()))


def _ledger_rule(mentions: Mentions, mixed: list[str]) -> "Callable[[pa.Table], pa.Table]":
    import pyarrow as pa
    import pyarrow.compute as pc

    shards = pa.array(sorted({name.partition(".")[0] for name in mixed}), pa.string())
    keys = pa.array(sorted(mentions.keys), pa.string())

    def rule(table: "pa.Table") -> "pa.Table":
        touched = pc.or_(pc.is_in(table["name"], value_set=keys), pc.is_in(table["name"], value_set=shards))
        return table.filter(pc.invert(touched))

    return rule


def _clean(uri: str, rule: "Callable[[pa.Table], pa.Table]", dry_run: bool) -> None:
    try:
        table = storage.read_table(uri)
    except (FileNotFoundError, InputError):
        return
    kept = rule(table)
    if kept.num_rows < table.num_rows and not dry_run:
        storage.write_table(uri, kept)
