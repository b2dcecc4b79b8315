"""Columns of a manifest by which utterances are grouped, beside those that every manifest has."""

import difflib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ds2ray.errors import ConfigError
from ds2ray.evaluation.groups import DURATION, USER
from ds2ray.tables.columns import plain_name
from ds2ray.tables.manifest import READ_COLUMNS, Manifest, manifest_of
from ds2ray.tables.rows import Row, RowTable, read_rows

AUDIO = "audio"


@dataclass(frozen=True)
class Cells:
    """The cells of some columns of a manifest.

    Attributes:
        columns: by our name of a column where it has one, else by its plain one; in the order of the setting.
        by_line: of each row, those that are there.
    """

    columns: tuple[str, ...]
    by_line: dict[int, dict[str, Any]]


def read_with_columns(uri: str, by: Sequence[str], encoding: str = "") -> tuple[Manifest, Cells]:
    """A manifest with transcripts, and the cells of the columns that `by` names.

    Raises:
        ConfigError: there is no such column, or one by which nothing can be grouped.
        InputError: the file is missing or unreadable as a whole, or lacks a column.
    """
    wanted = list(dict.fromkeys(map(plain_name, by)))
    if AUDIO in wanted:
        raise ConfigError("by: every utterance has its own audio; name a column that several of them share")
    table = read_rows(uri, (*READ_COLUMNS, *(name for name in wanted if name not in READ_COLUMNS)), encoding)
    table.require(("audio", "transcript"))
    kept: dict[int, dict[str, Any]] = {}
    table.rows = _keeping(table.rows, {*wanted, *READ_COLUMNS} - {AUDIO}, kept)
    manifest = manifest_of(table)
    columns = tuple(_our_name(name, table) for name in wanted)
    return replace(manifest, unknown_columns=[c for c in manifest.unknown_columns if plain_name(c) not in wanted]), (
        Cells(columns, kept)
    )


def _keeping(rows: Iterator[Row], columns: Collection[str], kept: dict[int, dict[str, Any]]) -> Iterator[Row]:
    """The rows as they come; what they hold in these columns is kept."""
    for row in rows:
        kept[row.line] = {name: row.cells[name] for name in columns & row.cells.keys()}
        yield row


def _our_name(name: str, table: RowTable) -> str:
    """The name under which a column was read: that of a column of ours which is called otherwise in this table."""
    if name in table.columns or name in (USER, DURATION):
        return name
    for ours, written in table.written.items():
        if plain_name(written) == name:
            return ours
    there = [plain_name(table.written.get(column, column)) for column in table.columns]
    close = difflib.get_close_matches(name, there, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise ConfigError(f"by: {table.uri} has no column {name}{hint}; it has {', '.join(there)}")
