"""Words that a system gets wrong: aligned with the transcript, and counted over all utterances."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ds2ray.evaluation.judged import Judged
from ds2ray.metrics import aligned

MAX_WORST = 20
MAX_CONFUSED = 20

Pair = tuple[str | None, str | None]
"""A word of the transcript and one of the hypothesis: None where a word was put in, or left out."""


@dataclass(frozen=True)
class Misheard:
    """An utterance with errors, word by word."""

    row: Judged
    errors: int
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Confusion:
    """A word of transcripts and what was recognised in its place."""

    said: str | None
    heard: str | None
    count: int


def worst(rows: Sequence[Judged], system: str, max_rows: int = MAX_WORST) -> list[Misheard]:
    """The utterances in which a system gets most words wrong, those of like number by their share; none without any."""
    wrong = [row for row in rows if row.scores[system].words.errors]
    wrong.sort(key=lambda row: (-row.scores[system].words.errors, -row.scores[system].words.rate(), row.utterance_id))
    return [Misheard(row, row.scores[system].words.errors, tuple(pairs_of(row, system))) for row in wrong[:max_rows]]


def confusions(rows: Iterable[Judged], system: str, max_rows: int = MAX_CONFUSED) -> list[Confusion]:
    """The words that a system most often takes for others, leaves out or puts in."""
    found: Counter[Pair] = Counter()
    for row in rows:
        if row.scores[system].words.errors:
            found.update(pair for pair in pairs_of(row, system) if pair[0] != pair[1])
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0][0] or "", item[0][1] or ""))
    return [Confusion(said, heard, count) for (said, heard), count in ordered[:max_rows]]


def pairs_of(row: Judged, system: str) -> list[Pair]:
    """The words of the transcript beside those that a system recognised."""
    return aligned(row.reference.split(), row.texts[system].split())
