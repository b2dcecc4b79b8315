"""Rows of CSV text, each with the line where it starts. No line of the file is lost to a quote that is never closed."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", re.IGNORECASE)
_SUFFIX = re.compile(r"\.[A-Za-z]\w{1,7}$")
OPEN_QUOTE = 'close every double quote, and write one inside a quoted cell as ""'


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line, or what it begins, that is no row."""

    content: str
    reason: str


@dataclass
class CsvRows:
    """The rows of a CSV text that are not blank, in their order, with the numbers of their lines from 1.

    A cell in quotes may hold line breaks. Where its further lines look like rows of the table, though, the quote was
    never meant to reach that far: its own line and the one that closes it are told as unreadable, and every line
    between them is read.

    Attributes:
        num_with_line_breaks: rows so far of which a cell holds a line break.
    """

    text: str
    num_with_line_breaks: int = 0
    _lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lines = list(io.StringIO(self.text, newline=""))

    def __iter__(self) -> Iterator[tuple[int, list[str] | Unreadable]]:
        position = width = 0
        closing: dict[int, int] = {}  # lines that close a quote, and those that open it
        while position < len(self._lines):
            cells, num_lines = self._read(position)
            line = position + 1
            if line in closing and num_lines == 1:
                reason = f"it closes a double quote that line {closing[line]} opens"
                cells = Unreadable(self._lines[position].strip(), reason)
            elif num_lines > 1 and (isinstance(cells, Unreadable) or self._swallows(position, num_lines, cells, width)):
                if not isinstance(cells, Unreadable):
                    closing[position + num_lines] = line
                reason = f"a double quote opens a cell that is not closed before line {position + num_lines}"
                cells, num_lines = Unreadable(self._lines[position].strip(), reason), 1
            elif num_lines > 1:
                self.num_with_line_breaks += 1
            position += num_lines
            if isinstance(cells, Unreadable) or any(cell.strip() for cell in cells):
                width = width or (0 if isinstance(cells, Unreadable) else len(cells))
                yield line, cells

    def _read(self, position: int) -> tuple[list[str] | Unreadable, int]:
        """The row that starts at a line, and how many lines it takes."""
        if '"' not in self._lines[position]:
            return self._lines[position].rstrip("\r\n").split(","), 1
        reader = csv.reader(iter(self._lines[position : position + 1]), strict=True)
        try:
            return next(reader, []), 1
        except csv.Error:
            return self._read_on(position)

    def _read_on(self, position: int) -> tuple[list[str] | Unreadable, int]:
        """The same for a row that does not end with its first line."""
        reader = csv.reader((self._lines[at] for at in range(position, len(self._lines))), strict=True)
        try:
            return next(reader, []), max(1, reader.line_num)
        except csv.Error as error:
            reason = f"the line cannot be read ({error})"
            return Unreadable(self._lines[position].strip(), reason), max(1, reader.line_num)

    def _swallows(self, position: int, num_lines: int, cells: list[str] | Unreadable, width: int) -> bool:
        """Whether a row of several lines has taken in rows that are none of it."""
        if isinstance(cells, Unreadable) or (width and len(cells) != width):
            return True
        return any(_looks_like(self._lines[at], cells) for at in range(position + 1, position + num_lines))


def _looks_like(line: str, row: list[str]) -> bool:
    """Whether a line alone would be a row like this one: as many cells, numbers and file names in the same places."""
    try:
        cells = next(csv.reader([line]), [])
    except csv.Error:
        return False
    if len(row) < 2 or len(cells) != len(row):
        return False
    kinds = [(_kind(cell), _kind(other)) for cell, other in zip(cells, row, strict=True)]
    return all(kind == wanted for kind, wanted in kinds if wanted)


def _kind(cell: str) -> str:
    """`number`, or how a file name ends; empty for other text."""
    text = cell.strip()
    if _NUMBER.fullmatch(text):
        return "number"
    suffix = _SUFFIX.search(text)
    return suffix[0].lower() if suffix and "\n" not in text and "\r" not in text else ""
