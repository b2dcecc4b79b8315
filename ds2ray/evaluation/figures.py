"""Figures of groups of utterances: error rates of each system, and differences between two, with intervals."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from operator import add

import numpy as np

from ds2ray.chance import Interval, drawn_sums, interval, p_value
from ds2ray.evaluation.judged import WIDTH, Judged, counts
from ds2ray.metrics import Score

MIN_DRAWN = 8
"""Users, or else utterances, of which intervals are drawn: fewer say too little about others of their kind."""


class Drawn(Enum):
    """The rows that intervals of a group are drawn from."""

    users = "users"
    utterances = "utterances"
    nothing = "nothing"  # too few of either


class Verdict(Enum):
    """The verdict on a difference."""

    better = "better"
    unclear = "no clear difference"
    worse = "worse"


@dataclass(frozen=True)
class Figures:
    """Errors of one system, and the intervals of their rates; None where the group is too small for any."""

    score: Score
    wer_interval: Interval | None = None
    cer_interval: Interval | None = None


@dataclass(frozen=True)
class Difference:
    """The difference of two rates, as a fraction: below 0 where errors fell."""

    rate: float
    interval: Interval | None = None
    p: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Better or worse beyond chance, or no clear difference."""
        if self.interval is None or not self.interval.excludes_zero():
            return Verdict.unclear
        return Verdict.better if self.interval.high < 0 else Verdict.worse


@dataclass(frozen=True)
class Compared:
    """Two systems on the same utterances, paired."""

    before: str
    after: str
    wer: Difference
    cer: Difference


@dataclass(frozen=True)
class Group:
    """Utterances that have something in common, and the figures of all systems on them.

    Attributes:
        name: what they have in common; empty where a cell was empty.
        compared: the pairs of systems in their order.
    """

    name: str
    num_utterances: int
    num_users: int
    speech_s: float
    drawn: Drawn
    figures: dict[str, Figures]
    compared: tuple[Compared, ...] = ()


def group_of(name: str, rows: Sequence[Judged], systems: Sequence[str], pairs: Sequence[tuple[str, str]]) -> Group:
    """The figures of a group of at least one utterance.

    Intervals are drawn over users, each with all utterances, where there are MIN_DRAWN of them: what is found then
    holds for other users, too. They are drawn over utterances where there are fewer users, and not at all where there
    are fewer utterances than that.

    Args:
        pairs: names of systems, before and after.
    """
    users = {row.user_id for row in rows}
    drawn = _drawn_from(len(users), len(rows))
    counted = counts(rows, systems)
    if drawn is Drawn.users:
        counted = _by_user(rows, counted)
    sums = None if drawn is Drawn.nothing else drawn_sums(counted)
    wer, cer = (_Rates(systems, counted.sum(0), sums, offset) for offset in (0, 2))
    return Group(
        name=name,
        num_utterances=len(rows),
        num_users=len(users - {""}),
        speech_s=sum(row.duration_s for row in rows),
        drawn=drawn,
        figures={
            system: Figures(
                reduce(add, (row.scores[system] for row in rows)), wer.interval(system), cer.interval(system)
            )
            for system in systems
        },
        compared=tuple(Compared(*pair, wer.difference(*pair), cer.difference(*pair)) for pair in pairs),
    )


def _drawn_from(num_users: int, num_utterances: int) -> Drawn:
    if num_users >= MIN_DRAWN:
        return Drawn.users
    return Drawn.utterances if num_utterances >= MIN_DRAWN else Drawn.nothing


def _by_user(rows: Sequence[Judged], counted: np.ndarray) -> np.ndarray:
    """The counts of users [U, …] as sums over their utterances [N, …]."""
    places: defaultdict[str, int] = defaultdict(lambda: len(places))
    summed = np.zeros((len({row.user_id for row in rows}), counted.shape[1]), dtype=np.int64)
    np.add.at(summed, [places[row.user_id] for row in rows], counted)
    return summed


class _Rates:
    """Rates of all systems on one group: of words or of characters, as they are and as they were drawn."""

    def __init__(self, systems: Sequence[str], total: np.ndarray, sums: np.ndarray | None, offset: int) -> None:
        self._column = {system: WIDTH * place + offset for place, system in enumerate(systems)}
        self._total = total[None]
        self._sums = sums

    def _rates(self, sums: np.ndarray, system: str) -> np.ndarray:
        column = self._column[system]
        errors, lengths = sums[:, column], sums[:, column + 1]
        return np.where(lengths > 0, errors / np.maximum(1, lengths), errors > 0)

    def interval(self, system: str) -> Interval | None:
        return None if self._sums is None else interval(self._rates(self._sums, system))

    def difference(self, before: str, after: str) -> Difference:
        rate = float((self._rates(self._total, after) - self._rates(self._total, before))[0])
        if self._sums is None:
            return Difference(rate)
        drawn = self._rates(self._sums, after) - self._rates(self._sums, before)
        return Difference(rate, interval(drawn), p_value(drawn))
