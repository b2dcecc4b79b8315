"""Word and character errors, counted so that the counts of many utterances and processes can be added."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ds2ray.config import ErrorMetric

Unit = TypeVar("Unit", bound=Hashable)


@dataclass(frozen=True)
class ErrorCount:
    """Edits that turn a reference into a hypothesis, in words or in characters. Counts add up with `+`."""

    substitutions: int
    deletions: int
    insertions: int
    reference_length: int

    @property
    def errors(self) -> int:
        """The number of all edits."""
        return self.substitutions + self.deletions + self.insertions

    def rate(self) -> float:
        """Errors per word or character of the reference; above 1 where much was inserted.

        Against an empty reference the rate is 0 without errors and 1 with any, so that means stay finite.
        """
        if self.reference_length == 0:
            return float(self.errors > 0)
        return self.errors / self.reference_length

    def __add__(self, other: "ErrorCount") -> "ErrorCount":
        return ErrorCount(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.reference_length + other.reference_length,
        )


def word_errors(reference: str, hypothesis: str) -> ErrorCount:
    """Errors in words, which white space separates. Neither text is normalised here."""
    return _count(reference.split(), hypothesis.split())


def character_errors(reference: str, hypothesis: str) -> ErrorCount:
    """Errors in characters, spaces among them, as jiwer counts: a word split in two is an error.

    White space around a text is none of it.
    """
    return _count(reference.strip(), hypothesis.strip())


NO_ERRORS = ErrorCount(0, 0, 0, 0)


@dataclass(frozen=True)
class Score:
    """Errors of words and of characters, addable over batches, users and ranks."""

    words: ErrorCount = field(default=NO_ERRORS)
    characters: ErrorCount = field(default=NO_ERRORS)

    def __add__(self, other: "Score") -> "Score":
        return Score(self.words + other.words, self.characters + other.characters)

    def rate(self, metric: ErrorMetric) -> float:
        """WER or CER as a fraction."""
        return (self.words if metric is ErrorMetric.wer else self.characters).rate()


def score_texts(references: Iterable[str], hypotheses: Iterable[str]) -> Score:
    """Errors of normalised texts, summed over pairs."""
    total = Score()
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        total += Score(word_errors(reference, hypothesis), character_errors(reference, hypothesis))
    return total


def _count(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> ErrorCount:
    return ErrorCount(*edits(reference, hypothesis), len(reference))


def edits(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> tuple[int, int, int]:
    """The fewest (substitutions, deletions, insertions) that turn the reference into the hypothesis."""
    substitutions = deletions = insertions = 0
    for row, column in _pairs(reference, hypothesis):
        if column is None:
            deletions += 1
        elif row is None:
            insertions += 1
        else:
            substitutions += reference[row] != hypothesis[column]
    return substitutions, deletions, insertions


def aligned(reference: Sequence[Unit], hypothesis: Sequence[Unit]) -> list[tuple[Unit | None, Unit | None]]:
    """Pairs of units of the reference and of the hypothesis, as few of them unlike as possible; None stands for no
    unit: what was left out has none in the hypothesis, and what was put in none in the reference."""
    pairs = [
        (None if row is None else reference[row], None if column is None else hypothesis[column])
        for row, column in _pairs(reference, hypothesis)
    ]
    return pairs[::-1]


def _pairs(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> Iterator[tuple[int | None, int | None]]:
    """The places that belong together in the reference and in the hypothesis, the last first.

    Bit-parallel (Hyyrö, 2003): a column of the table of distances is two integers, of the places where it rises and
    where it falls; the edits are read backwards from the columns.
    """
    everywhere = (1 << len(reference)) - 1
    places: dict[Hashable, int] = {}
    for place, unit in enumerate(reference):
        places[unit] = places.get(unit, 0) | 1 << place
    rises, falls = everywhere, 0
    columns = []
    for unit in hypothesis:
        equal = places.get(unit, 0)
        diagonal = (((equal & rises) + rises) ^ rises) | equal | falls
        right_rises = falls | ~(diagonal | rises) & everywhere
        right_falls = diagonal & rises
        right_rises, right_falls = right_rises << 1 | 1, right_falls << 1
        rises = (right_falls | ~(diagonal | right_rises)) & everywhere
        falls = right_rises & diagonal & everywhere
        columns.append((rises, falls))
    row, column = len(reference), len(hypothesis)
    while row or column:
        if row and (not column or columns[column - 1][0] >> (row - 1) & 1):
            row -= 1
            yield row, None
        elif not row or (column > 1 and columns[column - 2][1] >> (row - 1) & 1):
            column -= 1
            yield None, column
        else:
            row, column = row - 1, column - 1
            yield row, column
