"""Rows of tables by URI: CSV, JSON lines and Parquet, with the place of every row and of everything wrong with it."""

import csv
import difflib
import io
import itertools
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ds2ray import storage
from ds2ray.errors import InputError
from ds2ray.tables.formats import CSV, JSON_LINES, PARQUET, table_format
from ds2ray.tables.problems import Problem, ProblemKind, shown

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 1024  # Parquet rows that are Python objects at once
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a row by column: the known columns that have a value."""

    line: int
    cells: dict[str, Any]


@dataclass
class RowTable:
    """A table that is being read: `problems` and, for JSON lines, `columns` are complete once `rows` is exhausted."""

    uri: str
    columns: list[str]
    rows: Iterator[Row] = field(default_factory=lambda: iter(()))
    problems: list[Problem] = field(default_factory=list)
    content: "pa.Table | None" = None  # of a Parquet file, the known columns: what `rows` come from

    def require(self, needed: Sequence[str]) -> None:
        """Check the header. JSON lines have none: their rows are checked one by one.

        Raises:
            InputError: a column is missing; says which there are.
        """
        missing = [] if table_format(self.uri) == JSON_LINES else [c for c in needed if c not in self.columns]
        if not missing:
            return
        text = f"{self.uri}: the table has no column {' or '.join(missing)}; it has {', '.join(self.columns)}"
        if len(self.columns) == 1 and any(mark in self.columns[0] for mark in ";\t|"):
            raise InputError(f"{text}; cells must be separated by commas")
        as_written = {column.lower(): column for column in self.columns}
        for name in missing:
            close = difflib.get_close_matches(name, as_written, n=1)
            text += f"; rename {as_written[close[0]]!r} to {name!r}?" if close else ""
        raise InputError(text)

    def add_problem(self, line: int, value: object, reason: str, remedy: str) -> None:
        """Note that a row as a whole cannot be read."""
        self.problems.append(Problem(self.uri, line, ProblemKind.row, "", shown(value), reason, remedy))


def read_rows(uri: str, known_columns: Collection[str]) -> RowTable:
    """Open a table.

    Args:
        known_columns: whose cells are wanted; those of others are not kept.

    Raises:
        InputError: the file is missing, of no known format, not UTF-8, or has no usable header.
    """
    try:
        match table_format(uri):
            case ".csv":
                return _read_csv(RowTable(uri, []), read_text(uri), known_columns)
            case ".jsonl":
                return _read_json_lines(RowTable(uri, []), read_text(uri), known_columns)
            case ".parquet":
                return _read_parquet(RowTable(uri, []), known_columns)
    except FileNotFoundError as error:
        raise InputError(f"{uri}: there is no such file") from error
    raise InputError(f"{uri}: a table's name must end in {CSV}, {JSON_LINES} or {PARQUET}")


def read_text(uri: str) -> str:
    """The text of a UTF-8 file, with or without a byte-order mark.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is not UTF-8; names the line.
    """
    data = storage.read_bytes(uri)
    if data.startswith(_UTF16_MARKS):
        raise InputError(f"{uri}: the file is UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{uri}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from error


def _read_csv(table: RowTable, text: str, known_columns: Collection[str]) -> RowTable:
    parsed = _parse_csv(table, text)
    _, header = next(parsed, (0, None))
    if table.problems:
        raise InputError(str(table.problems[0]))
    if header is None:
        raise InputError(f"{table.uri}: the table is empty; its first line must name the columns")
    table.columns = [name.strip() for name in header]
    twice = sorted({name for name in table.columns if name and table.columns.count(name) > 1})
    if twice:
        raise InputError(f"{table.uri}: the header names column {', '.join(twice)} more than once")
    wanted = [(i, name) for i, name in enumerate(table.columns) if name in known_columns]

    def rows() -> Iterator[Row]:
        for line, cells in parsed:
            if len(cells) == len(table.columns):
                yield Row(line, {name: cells[i] for i, name in wanted})
            else:
                reason = f"{len(cells)} cells, but the header has {len(table.columns)}"
                table.add_problem(line, ",".join(cells), reason, "put cells that hold a comma in double quotes")

    table.rows = rows()
    return table


def _parse_csv(table: RowTable, text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, each with the line where it starts: a quoted cell may hold line breaks."""
    first_line: list[str] = []  # of the row that is being read, for messages

    def physical_lines() -> Iterator[str]:
        for content in io.StringIO(text, newline=""):
            if not first_line:
                first_line.append(content.strip())
            yield content

    reader = csv.reader(physical_lines(), strict=True)
    while True:
        line = reader.line_num + 1
        first_line.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            last = reader.line_num
            lines = f"lines {line} to {last} cannot be read" if last > line else "the line cannot be read"
            remedy = 'close every double quote, and write one inside a quoted cell as ""'
            table.add_problem(line, first_line[0], f"{lines} ({error})", remedy)
            continue
        if any(cell.strip() for cell in cells):
            yield line, cells


def _read_json_lines(table: RowTable, text: str, known_columns: Collection[str]) -> RowTable:
    seen: set[str] = set()

    def rows() -> Iterator[Row]:
        # not splitlines(): JSON strings may hold other line separators, U+2028 among them
        for line, content in enumerate(text.split("\n"), start=1):
            if not content.strip():
                continue
            try:
                values = json.loads(content, object_pairs_hook=_unique_keys)
            except (ValueError, RecursionError) as error:
                table.add_problem(line, content.strip(), f"not JSON ({error})", "write one object per line")
                continue
            if not isinstance(values, dict):
                table.add_problem(line, content.strip(), "not a JSON object", "write one object per line")
                continue
            table.columns.extend(name for name in values if name not in seen)
            seen.update(values)
            yield Row(line, {name: v for name, v in values.items() if name in known_columns and v is not None})

    # the first row is read at once, so that its columns tell what kind of table this is
    all_rows = rows()
    table.rows = itertools.chain(list(itertools.islice(all_rows, 1)), all_rows)
    return table


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key is given twice")
    return values


def _read_parquet(table: RowTable, known_columns: Collection[str]) -> RowTable:
    whole = storage.read_table(table.uri)
    table.columns = list(whole.column_names)
    wanted = [name for name in table.columns if name in known_columns]
    if len(set(wanted)) < len(wanted):
        raise InputError(f"{table.uri}: a column is there more than once, among {', '.join(wanted)}")
    content = table.content = whole.select(wanted)

    def rows() -> Iterator[Row]:
        line = 1
        for batch in content.to_batches(max_chunksize=_BATCH_ROWS):
            try:
                columns = [column.to_pylist() for column in batch.columns]
            except ValueError as error:  # text that is not UTF-8
                raise InputError(f"{table.uri}: rows from {line} cannot be read: {error}") from error
            for cells in zip(*columns, strict=True):
                yield Row(line, {name: v for name, v in zip(wanted, cells, strict=True) if v is not None})
                line += 1

    table.rows = rows()
    return table
