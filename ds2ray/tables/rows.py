"""Rows of tables by URI: CSV, JSON and Parquet, with the place of every row and of everything wrong with it."""

import difflib
import itertools
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ds2ray import storage
from ds2ray.errors import InputError
from ds2ray.tables.columns import ALIASES, columns_read, plain_name, read_as
from ds2ray.tables.csv_rows import OPEN_QUOTE, CsvRows, Unreadable
from ds2ray.tables.encodings import Text, decoded
from ds2ray.tables.formats import JSON, JSON_LINES, TABLES, read_unpacked, table_format, too_large
from ds2ray.tables.lhotse import is_cut, row_of_cut
from ds2ray.tables.problems import Problem, ProblemKind, shown

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 1024  # Parquet rows that are Python objects at once
_ALIASES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a row by column: the known columns that have a value."""

    line: int
    cells: dict[str, Any]


@dataclass
class RowTable:
    """A table that is being read; but for `uri` and `rows` all is complete once `rows` is exhausted.

    Attributes:
        columns: our names of known columns, and those of others as written.
        written: the name that a column of ours has in the table, where it is another one.
        content: of a Parquet file, the known columns: what `rows` come from.
        notes: how many tables, or cells of them, were read in a way that deserves to be told.
    """

    uri: str
    columns: list[str]
    rows: Iterator[Row] = field(default_factory=lambda: iter(()))
    problems: list[Problem] = field(default_factory=list)
    content: "pa.Table | None" = None
    written: dict[str, str] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)

    def require(self, needed: Sequence[str]) -> None:
        """Check the header. JSON has none: its rows are checked one by one.

        Raises:
            InputError: a column is missing; says which there are, and what may be renamed.
        """
        is_json = table_format(self.uri) in (JSON, JSON_LINES)
        missing = [] if is_json else [c for c in needed if c not in self.columns]
        if not missing:
            return
        there = [self.written.get(column, column) for column in self.columns]
        text = f"{self.uri}: the table has no column {' or '.join(missing)}; it has {', '.join(there)}"
        if len(there) == 1 and any(mark in there[0] for mark in ";\t|"):
            raise InputError(f"{text}; cells must be separated by commas")
        as_written = {plain_name(column): column for column in there}
        for name in missing:
            close = difflib.get_close_matches(name, as_written, n=1)
            text += f"; rename {as_written[close[0]]!r} to {name!r}?" if close else f"; {_remedy(name)}"
        raise InputError(text)

    def add_problem(self, line: int, value: object, reason: str, remedy: str) -> None:
        """Note that a row as a whole cannot be read."""
        self.problems.append(Problem(self.uri, line, ProblemKind.row, "", shown(value), reason, remedy))

    def note_names(self, found: dict[str, str]) -> None:
        """Remember which of our columns have other names in the table."""
        for ours, written in read_as(found).items():
            if ours not in self.written:
                self.written[ours] = written
                self.notes[f"tables whose column {written!r} is read as {ours}"] += 1


def _remedy(name: str) -> str:
    known = ALIASES.get(name, ())[:_ALIASES_SHOWN]
    return f"rename its column to {name!r}" + (f", or to one of {', '.join(known)}" if known else "")


def read_rows(uri: str, known_columns: Collection[str], encoding: str = "") -> RowTable:
    """Open a table.

    Args:
        known_columns: whose cells are wanted, under these or other names (see `columns`); others are not kept.
        encoding: of text, see `read_text`.

    Raises:
        InputError: the file is missing, of no known format, in no known encoding, or has no usable header.
    """
    table = RowTable(uri, [])
    reason = storage.why_no_file(uri) or _why_too_large(uri)
    if reason:
        raise InputError(f"{uri}: {reason}")
    try:
        match table_format(uri):
            case ".csv":
                return _read_csv(table, _text(table, encoding), known_columns)
            case ".tsv":
                return _read_cells(table, _tab_separated(_text(table, encoding)), known_columns)
            case ".jsonl" | ".json":
                return _read_json(table, _text(table, encoding), known_columns)
            case ".parquet":
                return _read_parquet(table, known_columns)
    except FileNotFoundError as error:
        raise InputError(f"{uri}: there is no such file") from error
    raise InputError(f"{uri}: a table's name must end in {', '.join(TABLES)}, and .gz where it is packed")


def _why_too_large(uri: str) -> str:
    """Why a local table is not read at all; what lies on a server is asked for once, and not measured before."""
    info = storage.stat_many([uri])[uri] if storage.is_local(uri) else None
    return too_large(info.size_bytes) if info else ""


def _text(table: RowTable, encoding: str) -> str:
    text = decoded(read_unpacked(table.uri), table.uri, encoding)
    table.notes.update(encoding_note(text))
    return text.content


def encoding_note(text: Text) -> list[str]:
    """The note on a file whose encoding was guessed."""
    return [f"files taken for {text.guessed}, for want of data.encoding=…"] if text.guessed else []


def _read_csv(table: RowTable, text: str, known_columns: Collection[str]) -> RowTable:
    found = CsvRows(text)

    def cells() -> Iterator[tuple[int, list[str] | Unreadable]]:
        yield from found
        if found.num_with_line_breaks:
            table.notes["rows with a line break in a cell"] += found.num_with_line_breaks

    return _read_cells(table, cells(), known_columns)


def _tab_separated(text: str) -> Iterator[tuple[int, list[str] | Unreadable]]:
    """Rows of tab-separated values, in which quotes have no meaning."""
    for line, content in enumerate(text.split("\n"), start=1):
        cells = content.rstrip("\r").split("\t")
        if any(cell.strip() for cell in cells):
            yield line, cells


def _read_cells(
    table: RowTable, parsed: Iterator[tuple[int, list[str] | Unreadable]], known_columns: Collection[str]
) -> RowTable:
    """A table whose first row names the columns."""
    line, header = next(parsed, (0, None))
    if header is None:
        raise InputError(f"{table.uri}: the table is empty; its first line must name the columns")
    if isinstance(header, Unreadable):
        table.add_problem(line, header.content, header.reason, OPEN_QUOTE)
        raise InputError(str(table.problems[0]))
    names = [name.strip() for name in header]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise InputError(f"{table.uri}: the header names column {', '.join(twice)} more than once")
    wanted = _wanted(table, names, known_columns)
    remedy = (
        "put exactly one tab between two cells"
        if table_format(table.uri) == ".tsv"
        else ("put cells that hold a comma in double quotes")
    )

    def rows() -> Iterator[Row]:
        for line, cells in parsed:
            if isinstance(cells, Unreadable):
                table.add_problem(line, cells.content, cells.reason, OPEN_QUOTE)
            elif len(cells) == len(names):
                yield Row(line, {name: cells[i] for i, name in wanted})
            else:
                separator = "\t" if table_format(table.uri) == ".tsv" else ","
                reason = f"{len(cells)} cells, but the header has {len(names)}"
                table.add_problem(line, separator.join(cells), reason, remedy)

    table.rows = rows()
    return table


def _wanted(table: RowTable, names: Sequence[str], known_columns: Collection[str]) -> list[tuple[int, str]]:
    """The places of our columns among these; the table learns its columns."""
    try:
        found = columns_read(names, known_columns)
    except InputError as error:
        raise InputError(f"{table.uri}: {error}") from error
    ours_of = {written: ours for ours, written in found.items()}
    table.columns = [ours_of.get(name, name) for name in names]
    table.note_names(found)
    return [(i, ours_of[name]) for i, name in enumerate(names) if name in ours_of]


def _read_json(table: RowTable, text: str, known_columns: Collection[str]) -> RowTable:
    seen: set[str] = set()
    found: dict[tuple[str, ...], dict[str, str]] = {}  # our columns by the keys of a row: most rows have the same ones

    def rows() -> Iterator[Row]:
        for line, values in _json_rows(table, text):
            if is_cut(values):
                try:
                    values = row_of_cut(values)
                except ValueError as error:
                    table.add_problem(line, values.get("id", ""), str(error), "export plain cuts, or cut the audio")
                    continue
            names = tuple(values)
            if names not in found:
                try:
                    found[names] = columns_read(names, known_columns)
                except InputError as error:
                    table.add_problem(line, values, str(error), "write it once")
                    continue
                table.note_names(found[names])
                ours_of = {written: ours for ours, written in found[names].items()}
                new = [name for name in (ours_of.get(name, name) for name in names) if name not in seen]
                table.columns.extend(new)
                seen.update(new)
            cells = {ours: values[written] for ours, written in found[names].items()}
            yield Row(line, {ours: value for ours, value in cells.items() if value is not None})

    # the first row is read at once, so that its columns tell what kind of table this is
    all_rows = rows()
    table.rows = itertools.chain(list(itertools.islice(all_rows, 1)), all_rows)
    return table


def _json_rows(table: RowTable, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON text: one per line, or all in one list, or by their ids in one object."""
    document = _of_one_document(text, by_ids=table_format(table.uri) == JSON)
    for line, values in _of_lines(table, text) if document is None else document:
        if isinstance(values, dict):
            yield line, values
        else:
            table.add_problem(line, values, "not a JSON object", "write one object per line")


def _of_one_document(text: str, *, by_ids: bool) -> Iterable[tuple[int, Any]] | None:
    """The numbered elements of a text that is one list, or with `by_ids` one object of objects; None for others."""
    if not text.lstrip().startswith(("[", "{")):
        return None
    try:
        document = json.loads(text, object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError):
        return None
    if isinstance(document, list):
        return list(enumerate(document, start=1))
    if by_ids and document and all(isinstance(value, dict) for value in document.values()):
        named = ({"utterance_id": key, **value} for key, value in document.items())
        return list(enumerate(named, start=1))
    return None


def _of_lines(table: RowTable, text: str) -> Iterator[tuple[int, Any]]:
    # not splitlines(): JSON strings may hold other line separators, U+2028 among them
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            yield line, json.loads(content, object_pairs_hook=_unique_keys)
        except (ValueError, RecursionError) as error:
            table.add_problem(line, content.strip(), f"not JSON ({error})", "write one object per line")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key is given twice")
    return values


def _read_parquet(table: RowTable, known_columns: Collection[str]) -> RowTable:
    whole = storage.read_table(table.uri)
    wanted = _wanted(table, list(whole.column_names), known_columns)
    names = [name for _, name in wanted]
    content = table.content = whole.select([i for i, _ in wanted]).rename_columns(names)

    def rows() -> Iterator[Row]:
        line = 1
        for batch in content.to_batches(max_chunksize=_BATCH_ROWS):
            try:
                columns = [column.to_pylist() for column in batch.columns]
            except (ValueError, OverflowError) as error:  # text that is not UTF-8, a date that no calendar has
                raise InputError(f"{table.uri}: rows from {line} cannot be read: {error}") from error
            for cells in zip(*columns, strict=True):
                yield Row(line, {name: v for name, v in zip(names, cells, strict=True) if v is not None})
                line += 1

    table.rows = rows()
    return table
