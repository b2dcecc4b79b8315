"""Own words as people write them: in a cell of the users table, or in a file, a word or phrase a line."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ds2ray import storage
from ds2ray.config import DataConfig
from ds2ray.errors import InputError
from ds2ray.storage.reach import ALLOW
from ds2ray.store.own_words import OwnWord, words_as_bytes
from ds2ray.tables.encodings import decoded
from ds2ray.tables.formats import read_unpacked
from ds2ray.tables.problems import Problem, ProblemKind, shown
from ds2ray.tables.rows import Row, read_rows
from ds2ray.tables.users_table import WORD_COLUMNS, WORDS, WORDS_FILE

NONE = "-"
"""Instead of words: what the user has is taken away."""


@dataclass
class TableWords:
    """The own words that a users table sets.

    Attributes:
        words: by user id; of users whose cells are empty nothing stands here.
        problems: of the other rows.
    """

    words: dict[str, tuple[OwnWord, ...]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def own_words(text: str, where: str) -> tuple[OwnWord, ...]:
    """Words between semicolons or on lines, each with a weight behind a tab or a colon where it has one.

    Raises:
        InputError: a weight is no number above 0, or there are too many words.
    """
    words = tuple(_word(part, where) for part in text.replace("\n", ";").split(";") if part.strip())
    words_as_bytes(words)
    return words


def read_words_file(uri: str, encoding: str = "") -> tuple[OwnWord, ...]:
    """The words of a text file, packed or not. Raises InputError where it is missing, unreadable or has a bad line."""
    refused = storage.why_no_file(uri)
    if refused:
        raise InputError(f"{uri}: {refused}")
    try:
        text = decoded(read_unpacked(uri), uri, encoding).content
    except FileNotFoundError:
        raise InputError(f"{uri}: there is no such file") from None
    return own_words("\n".join(text.splitlines()), uri)


def read_table_words(uri: str, data: DataConfig | None = None) -> TableWords:
    """The own words of a users table; none where it has no column for them. What is wrong concerns its user alone."""
    data = data or DataConfig()
    table = read_rows(uri, {"user_id", "manifest", *WORD_COLUMNS}, data.encoding)
    found = TableWords()
    if table.columns and not ({*WORD_COLUMNS} & {*table.columns} and "manifest" in table.columns):
        return found
    for row in table.rows:
        user_id = str(row.cells.get("user_id", "")).strip()
        try:
            words = _of_row(row, uri, data)
        except InputError as error:
            column = WORDS if row.cells.get(WORDS) else WORDS_FILE
            value, remedy = shown(row.cells.get(column, "")), "the user keeps the words that are there"
            place = (uri, row.line, ProblemKind.row, column, value, str(error), remedy)
            found.problems.append(Problem(*place, user_id=user_id))
            continue
        if words is not None and user_id:
            found.words[user_id] = words
    return found


def _of_row(row: Row, uri: str, data: DataConfig) -> tuple[OwnWord, ...] | None:
    """The words of a row, from both columns; None where they are empty."""
    cell, file = row.cells.get(WORDS), row.cells.get(WORDS_FILE)
    if not cell and not file:
        return None
    words = list(_of_cell(cell, f"{uri}:{row.line}"))
    if file and str(file).strip() != NONE:
        words += _of_file(storage.resolve(str(file).strip(), uri), uri, data)
    words_as_bytes(words)
    return tuple(words)


def _of_file(file_uri: str, named_by: str, data: DataConfig) -> tuple[OwnWord, ...]:
    refused = storage.why_refused(file_uri, named_by, data)
    if refused:
        raise InputError(f"{file_uri}: {refused}; {ALLOW}")
    found = storage.asked(file_uri, lambda: read_words_file(file_uri, data.encoding))
    if isinstance(found, storage.AddressFault):
        raise InputError(f"{file_uri}: {found.reason}")
    return found


def _of_cell(cell: Any, where: str) -> Iterator[OwnWord]:
    """The words of a cell: text, or a list of texts as JSON lines and Parquet have it."""
    if isinstance(cell, str) and cell.strip() != NONE:
        parts: Any = cell
        if cell.lstrip().startswith("["):
            try:
                parts = json.loads(cell)
            except ValueError:
                parts = cell
        yield from own_words(parts if isinstance(parts, str) else ";".join(map(str, parts)), where)
    elif isinstance(cell, list | tuple):
        yield from own_words(";".join(map(str, cell)), where)
    elif cell and not isinstance(cell, str):
        raise InputError("not text; write words between semicolons")


def _word(part: str, where: str) -> OwnWord:
    for mark in ("\t", ":"):
        text, found, weight = part.strip().rpartition(mark)
        if found:
            try:
                return OwnWord(text.strip(), float(weight))
            except ValueError:
                reason = f"weight {weight.strip()!r} of {text.strip()!r} is no number"
                raise InputError(f"{where}: {reason}; write it as `{text.strip()}{mark}2`") from None
    return OwnWord(part.strip())
