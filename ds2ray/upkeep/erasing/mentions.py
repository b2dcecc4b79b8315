"""Where a user is named: in names of files, in text, in JSON and in tables."""

import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from html import unescape
from typing import TYPE_CHECKING, Any

from ds2ray.store import AdapterPointer, BaseRecord, OwnWordsRecord
from ds2ray.store.outcomes import Outcome, Status

if TYPE_CHECKING:
    import pyarrow as pa

ERASED = "…"
"""What stands in the place of a name that was taken out of a text."""

KEY_COLUMNS = ("user_key", "user_id")
"""Columns of tables, and fields of records, that say whose a row is."""

_TEXT_COLUMNS = ("reason", "value")  # in which other users' rows may name somebody

OWN_WORDS = frozenset(
    [
        *("users", "runs", "bases", "index", "outcomes", "attempts", "pending", "sweeps", "failures", "statuses"),
        *("interrupted", "trained", "skipped", "new", "changed", "request", "moved", "base", "words", "current"),
        *(status.value for status in Status),
        *(f.name for kind in (AdapterPointer, BaseRecord, OwnWordsRecord, Outcome) for f in fields(kind)),
    ]
)
"""Words that ds2ray itself writes into paths, records and tables: as a user's name they are found where a user is meant
alone, in a column or field for users and as the name of a user's folder."""

_TAG = re.compile(r"<[^>]*>")
_TOKEN = re.compile(r"[A-Za-z0-9_~@%-]+")  # what a user key is made of
_SINGLE_FILE = "_adapter"  # `<name>_adapter.pt` of KoSpeech
_OPENS, _CLOSES = frozenset("/'\"=\\(`"), frozenset("/'\"&.,;:\\)`")
_LEAST_TELLING = 4  # characters


class Mentions:
    """Finds these users by their ids and their keys.

    A name is found where it stands by itself, not within a longer one: `jo` is not in `john`. One that says little,
    shorter than four characters or digits alone, may stand anywhere as something else: `1 usable utterance`. It is
    found where it is all of a text, a cell or a part of a path, or between quotes. See also OWN_WORDS.

    Args:
        ids: user ids by user key.
    """

    def __init__(self, ids: Mapping[str, str]) -> None:
        self.keys = frozenset(ids)
        self.ids = frozenset(ids.values())
        self._all = self.keys | self.ids
        self._names = self._all - OWN_WORDS
        odd = [name for name in self._names if not _TOKEN.fullmatch(name)]
        self._odd = re.compile("|".join(map(re.escape, sorted(odd, key=len, reverse=True)))) if odd else None

    def is_user(self, name: str) -> bool:
        """Whether this is the id or the key of one of the users."""
        return name in self._all

    def in_name(self, path: str) -> bool:
        """Whether a path, below the root that is searched, names one of the users."""
        segments = path.split("/")
        is_users = segments[0] == "users" and len(segments) > 1 and segments[1] in self.keys
        return is_users or any(self._is_named(segment) for segment in segments)

    def _is_named(self, segment: str) -> bool:
        stem = segment.lstrip(".").partition(".")[0]
        candidates = (segment, stem, stem.removesuffix(_SINGLE_FILE), segment.rpartition(".")[0])
        return any(name in self._names for name in candidates) or next(self._found(segment), None) is not None

    def in_text(self, text: str) -> bool:
        """Whether a text names one of the users."""
        return text in self._names or next(self._found(text), None) is not None

    def in_bytes(self, data: bytes) -> bool:
        """Whether bytes that are mostly text name one of the users."""
        return self.in_text(data.decode("utf-8", "replace"))

    def in_html(self, data: bytes) -> bool:
        """Whether a page names one of the users: a name may be all that stands between two tags."""
        texts = _TAG.split(data.decode("utf-8", "replace"))
        return any(self.in_text(unescape(text).strip()) for text in texts)

    def in_log(self, data: bytes) -> bool:
        """Whether a log may name one of the users: it is free text, in which names that say little are names, too."""
        text = data.decode("utf-8", "replace")
        odd = self._odd is not None and self._odd.search(text) is not None
        return odd or any(match[0] in self._all for match in _TOKEN.finditer(text))

    def in_json(self, value: Any) -> bool:
        """Whether a decoded JSON document names one of the users, as a key or a value."""
        return any(text in self._all if is_key else self.in_text(text) for text, is_key in _texts(value))

    def in_table(self, table: "pa.Table") -> list[str]:
        """The columns of a table that name one of the users; `metadata` for that of the whole table."""
        found = [name for name in table.column_names if self._in_column(table[name], name in KEY_COLUMNS)]
        metadata = table.schema.metadata or {}
        return found + ["metadata"] * any(self.in_bytes(data) for pair in metadata.items() for data in pair)

    def without(self, text: str) -> str:
        """A text with the users' names taken out."""
        if text in self._names:
            return ERASED
        kept, end = [], 0
        for start, stop in sorted(self._found(text)):
            if start >= end:
                kept += [text[end:start], ERASED]
                end = stop
        return "".join([*kept, text[end:]])

    def json_without(self, value: Any) -> Any:
        """A decoded JSON document with the users' names taken out; where two keys become the same, counts are added."""
        if isinstance(value, str):
            return self.without(value)
        if isinstance(value, list):
            return [self.json_without(item) for item in value]
        if not isinstance(value, dict):
            return value
        kept: dict[str, Any] = {}
        for name, item in value.items():
            name, item = self.without(name), self.json_without(item)
            same = kept.get(name)
            numbers = isinstance(same, int | float) and isinstance(item, int | float)
            kept[name] = same + item if numbers else item
        return kept

    def table_without(self, table: "pa.Table") -> "tuple[pa.Table, int]":
        """A table without the users' rows, with their names taken out of others' reasons, and how many rows went."""
        import pyarrow as pa
        import pyarrow.compute as pc

        num_rows = table.num_rows
        for column in set(KEY_COLUMNS) & set(table.column_names):
            if pa.types.is_string(table[column].type):
                gone = pc.is_in(table[column], value_set=pa.array(sorted(self._all), pa.string()))
                table = table.filter(pc.invert(pc.fill_null(gone, False)))
        for place, name in enumerate(table.column_names):
            if name in _TEXT_COLUMNS and pa.types.is_string(table[name].type) and self._in_column(table[name]):
                cells = [None if cell is None else self.without(cell) for cell in table[name].to_pylist()]
                table = table.set_column(place, name, pa.array(cells, pa.string()))
        return table, num_rows - table.num_rows

    def _in_column(self, column: "pa.ChunkedArray", of_keys: bool = False) -> bool:
        import pyarrow as pa

        kind = column.type
        if pa.types.is_dictionary(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            values = column.unique().to_pylist()
            return any(value in self._all if of_keys else self.in_text(value) for value in values if value)
        if pa.types.is_nested(kind):
            return any(self.in_json(value) for value in column.to_pylist())
        return False  # numbers, and the bytes of audio

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        """The places, from and to, where a user is named."""
        for match in _TOKEN.finditer(text):
            if match[0] in self._names and self._counts(text, match):
                yield match.span()
        if self._odd is not None:
            for match in self._odd.finditer(text):
                start, end = match.span()
                if self._counts(text, match) and not (_joins(text[start - 1 : start]) or _joins(text[end : end + 1])):
                    yield start, end

    def _counts(self, text: str, match: "re.Match[str]") -> bool:
        """Whether a name at this place can only be the user's."""
        name, start, end = match[0], match.start(), match.end()
        if len(name) >= _LEAST_TELLING and not name.isdigit():
            return True
        return (start == 0 or text[start - 1] in _OPENS) and (end == len(text) or text[end] in _CLOSES)


def _joins(character: str) -> bool:
    return character.isalnum() or character == "_"


def _texts(value: Any, is_key: bool = False) -> Iterator[tuple[str, bool]]:
    """All texts in a decoded JSON document, names of fields too, and whether each stands in a field for users."""
    if isinstance(value, str):
        yield value, is_key
    elif isinstance(value, dict):
        for name, item in value.items():
            yield str(name), False
            yield from _texts(item, name in KEY_COLUMNS)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def names_in(data: bytes, name: str, mentions: Mentions) -> bool:
    """Whether a file's content names one of the users, read by what its name says it is; a damaged one as text."""
    if name.endswith((".parquet", ".parquet.tmp")) or data[:4] == b"PAR1":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(pa.BufferReader(data)) as file:
                return bool(mentions.in_table(file.read()))
        except pa.ArrowException:
            return mentions.in_bytes(data)
    if name.endswith((".json", ".jsonl")):
        try:
            lines = io.BytesIO(data) if name.endswith(".jsonl") else [data]
            return any(mentions.in_json(json.loads(line)) for line in lines if line.strip())
        except ValueError:
            return mentions.in_bytes(data)
    if name.endswith(".html"):
        return mentions.in_html(data)
    if name.endswith(".safetensors"):  # names of tensors, and then numbers
        return mentions.in_bytes(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return mentions.in_bytes(data)
