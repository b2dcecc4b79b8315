"""The table of a fleet: a row per user, held in columns, so that a million of them stay small."""

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ds2ray import storage
from ds2ray.store.keys import why_no_key
from ds2ray.tables.problems import Problem, ProblemKind, shown
from ds2ray.tables.rows import Row, RowTable

if TYPE_CHECKING:
    import pyarrow as pa

USER_COLUMNS = ("user_id", "manifest", "version", "speech_s", "num_utterances")
"""A row with a `version` is sealed: its writer vouches that the version changes whenever the speech does. `speech_s`
and `num_utterances` then say how much there is, so that a plan need not open the manifest."""
WORDS, WORDS_FILE = "words", "words_file"
WORD_COLUMNS = (WORDS, WORDS_FILE)
"""The own words of a user, between semicolons, and the URI of a file of them: see `ds2ray.corpora.own_words`."""

_CHUNK_ROWS = 65536  # rows that are Python objects at once
_LIMIT = 2.0**31  # numbers are below
_PLAIN = "^[!-~](.*[!-~])?$"  # text that nobody would strip
_SHORT_ID = r"^[^\p{Cc}]{1,16}$"  # that has a key whatever its letters are: 16 × 4 bytes, each percent-encoded
_PLAIN_ID = "^[A-Za-z0-9_~@-]{1,200}$"  # that is its own key


@dataclass(frozen=True, slots=True)
class UserRow:
    """A row of a users table."""

    user_id: str
    manifest_uri: str  # absolute
    line: int  # physical line of the file where the row starts (Parquet: number of the row), from 1
    table_uri: str


@dataclass(frozen=True)
class UserTable:
    """The good rows of a users table, and what was wrong with the others.

    Attributes:
        rows: columns user_id, manifest (as written), version (empty: not sealed), speech_s (seconds),
            num_utterances and line, one row per user.
        problems: of the other rows, by line.
    """

    uri: str
    rows: "pa.Table"
    problems: list[Problem]
    unknown_columns: list[str]

    def sealed(self) -> "pa.Table":
        """The rows with a version."""
        import pyarrow.compute as pc

        return self.rows.filter(pc.not_equal(self.rows["version"], ""))

    def unsealed(self) -> "pa.Table":
        """The rows without a version."""
        import pyarrow.compute as pc

        return self.rows.filter(pc.equal(self.rows["version"], ""))


def user_rows(rows: "pa.Table", table_uri: str) -> list[UserRow]:
    """Rows of a UserTable as objects; relative manifests start from the table's folder."""
    columns = (rows[name].to_pylist() for name in ("user_id", "manifest", "line"))
    return [
        UserRow(user_id, storage.resolve(manifest, table_uri), line, table_uri)
        for user_id, manifest, line in zip(*columns, strict=True)
    ]


def no_users(uri: str) -> UserTable:
    """A table without rows."""
    return UserTable(uri, _schema().empty_table(), [], [])


def user_table(table: RowTable) -> UserTable:
    """Read and check the rows of an open table."""
    rows = None if table.content is None else _typed(table.content)
    if rows is None:
        rows = _read_one_by_one(table)
        table.problems.sort(key=lambda problem: problem.line)
    known = (*USER_COLUMNS, *WORD_COLUMNS)
    return UserTable(table.uri, rows, table.problems, [name for name in table.columns if name not in known])


def _typed(content: "pa.Table") -> "pa.Table | None":
    """The rows of a Parquet table of which none needs a second look: right types, no blanks, every user once.

    That is what a program writes, and a million of them take no time. For anything else: None.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    def cells(name: str, alike: Callable[["pa.DataType"], bool]) -> "pa.ChunkedArray":
        if name not in content.column_names:
            return pa.chunked_array([pa.nulls(len(content), schema.field(name).type)])
        if not alike(content[name].type):
            raise TypeError(name)
        return content[name].cast(schema.field(name).type)

    def all_of(condition: "pa.ChunkedArray") -> bool:
        return bool(pc.all(condition, skip_nulls=False, min_count=0).as_py())

    schema = _schema()
    try:
        user_id = pc.utf8_normalize(cells("user_id", pa.types.is_string), form="NFC")
        manifest = cells("manifest", pa.types.is_string)
        version = pc.fill_null(cells("version", pa.types.is_string), "")
        is_sealed = pc.not_equal(version, "")
        speech_s = pc.if_else(is_sealed, cells("speech_s", pa.types.is_floating), None)
        num_utterances = pc.if_else(is_sealed, cells("num_utterances", pa.types.is_integer), None)
        texts = user_id, manifest, version.filter(is_sealed)
        numbers = speech_s.filter(is_sealed), num_utterances.filter(is_sealed)
        good = (
            *(all_of(pc.match_substring_regex(text, _PLAIN)) for text in texts),
            *(all_of(pc.is_valid(number)) for number in numbers),
            *(all_of(pc.and_(pc.greater_equal(number, 0), pc.less(number, _LIMIT))) for number in numbers),
            all_of(pc.or_(pc.match_substring_regex(user_id, _SHORT_ID), pc.match_substring_regex(user_id, _PLAIN_ID))),
            pc.count_distinct(user_id).as_py() == len(content),
        )
    except (TypeError, pa.ArrowException):
        return None
    line = pa.array(range(1, len(content) + 1), pa.int64())
    columns = [user_id, manifest, version, speech_s, num_utterances, line]
    return pa.table(columns, schema=schema) if all(good) else None


def _read_one_by_one(table: RowTable) -> "pa.Table":
    import pyarrow as pa

    schema = _schema()
    batches = [
        pa.RecordBatch.from_arrays(
            [pa.array(column, field.type) for column, field in zip(zip(*chunk, strict=True), schema, strict=True)],
            schema=schema,
        )
        for chunk in _chunks(table)
    ]
    return pa.Table.from_batches(batches, schema)


def _schema() -> "pa.Schema":
    import pyarrow as pa

    types = {"speech_s": pa.float64(), "num_utterances": pa.int32(), "line": pa.int64()}
    return pa.schema([(name, types.get(name, pa.string())) for name in (*USER_COLUMNS, "line")])


def _chunks(table: RowTable) -> Iterator[list[tuple[Any, ...]]]:
    """The good rows in the order of the schema; the others become the table's problems."""
    line_of: dict[str, int] = {}
    chunk: list[tuple[Any, ...]] = []
    for row in table.rows:
        cells = _checked(row, table.uri)
        if isinstance(cells, Problem):
            table.problems.append(cells)
            continue
        user_id, line = cells[0], row.line
        if line_of.setdefault(user_id, line) != line:
            reason = f"the user is already in line {line_of[user_id]}"
            remedy = "give every user one row and one manifest"
            table.problems.append(_problem(row, table.uri, "user_id", reason, remedy))
            continue
        chunk.append(cells)
        if len(chunk) == _CHUNK_ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _checked(row: Row, uri: str) -> tuple[Any, ...] | Problem:
    """The typed cells of a row, or what is wrong with it."""
    get = row.cells.get
    user_id, manifest, version = _text(get("user_id", "")), get("manifest", ""), _text(get("version", ""))
    if not user_id or not isinstance(manifest, str) or not manifest.strip():
        column = "manifest" if user_id else "user_id"
        return _problem(row, uri, column, "no text is given", "give the user's id and the URI of a manifest")
    user_id = unicodedata.normalize("NFC", user_id)
    unusable = why_no_key(user_id)
    if unusable:
        return _problem(row, uri, "user_id", unusable, "give the user another id")
    if version is None:
        return _problem(row, uri, "version", "not text", "write it as text, or leave the cell empty")
    if not version:
        return user_id, manifest.strip(), "", None, None, row.line
    speech_s, num_utterances = _number(get("speech_s")), _number(get("num_utterances"))
    if speech_s is None:
        return _problem(row, uri, "speech_s", "not a duration", "beside a version, give the seconds of speech")
    if num_utterances is None or not num_utterances.is_integer():
        return _problem(row, uri, "num_utterances", "not a count", "beside a version, give the number of utterances")
    return user_id, manifest.strip(), version, speech_s, int(num_utterances), row.line


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    """A number of at least 0, and so small that a count fits its column."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < _LIMIT else None


def _problem(row: Row, uri: str, column: str, reason: str, remedy: str) -> Problem:
    value, user_id = shown(row.cells.get(column, "")), _text(row.cells.get("user_id", "")) or ""
    return Problem(uri, row.line, ProblemKind.row, column, value, reason, remedy, user_id=user_id)
