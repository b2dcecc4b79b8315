"""The best of a sweep's trials, those that are the same but for chance, and those that nothing else beats. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ds2ray.chance import Interval, drawn_sums, interval
from ds2ray.config import Best, ErrorMetric
from ds2ray.fleet.sweep.points import Trial
from ds2ray.fleet.sweep.results import TrialResult
from ds2ray.fleet.sweep.search import rank

LEAST_USERS = 2
"""Users from which chance can be told at all."""


@dataclass(frozen=True)
class Judged:
    """A trial among the others.

    Attributes:
        error: of all users together, as a fraction.
        within: where the error lies but for the choice of users; None with one user, or of a failed trial.
        more: how much more than that of the best trial it is, paired by user; None as well.
        same: whether that may be chance alone.
        unbeaten: whether no other trial has fewer errors and is smaller, or has fewer and is faster.
    """

    trial: Trial
    result: TrialResult
    error: float = 1.0
    error_before: float = 1.0
    within: Interval | None = None
    more: Interval | None = None
    same: bool = False
    unbeaten: bool = False

    def num_worse(self, metric: ErrorMetric) -> int:
        """Users with more errors than by the base alone."""
        counts = [user.counts(metric) for user in self.result.of_users]
        return sum(after > before for before, after, _ in counts)

    @property
    def num_failed(self) -> int:
        """Users who could not be trained."""
        return sum(bool(user.reason) for user in self.result.of_users)


@dataclass(frozen=True)
class Decision:
    """The trials of a sweep, judged.

    Attributes:
        ranked: those that trained for all of their epochs and went through, best first.
        stopped: those that successive halving stopped, best first within each number of epochs.
        failed: the others.
        chosen: the one that the settings call the best; None where none went through.
    """

    ranked: list[Judged]
    stopped: list[Judged]
    failed: list[Judged]
    chosen: Judged | None

    @property
    def same(self) -> list[Judged]:
        """The best trial and those that may be as good, but for chance."""
        return [one for one in self.ranked if one.same]


def decide(tried: Sequence[tuple[Trial, TrialResult]], metric: ErrorMetric, best: Best) -> Decision:
    """Judge trials against each other on the users that all of them have."""
    went = sorted((pair for pair in tried if not pair[1].reason), key=lambda pair: rank(pair[1], metric))
    whole = [pair for pair in went if pair[0].is_whole]
    stopped = sorted((pair for pair in went if not pair[0].is_whole), key=lambda p: -p[0].point.adapt.num_epochs)
    ranked = _judged(whole, metric)
    return Decision(
        ranked,
        [_alone(trial, result, metric) for trial, result in stopped],
        [Judged(trial, result) for trial, result in tried if result.reason],
        min((one for one in ranked if one.same), key=lambda one: _measure(one, best), default=None),
    )


def _measure(one: Judged, best: Best) -> float:
    """What the best has least of, among those that are the same but for chance; ties go to the fewest errors."""
    if best is Best.error:
        return 0.0
    return one.result.seconds if best is Best.seconds else one.result.size_bytes


def _alone(trial: Trial, result: TrialResult, metric: ErrorMetric) -> Judged:
    before, after = result.rates(metric)
    return Judged(trial, result, after, before)


def _judged(whole: Sequence[tuple[Trial, TrialResult]], metric: ErrorMetric) -> list[Judged]:
    """Trials, best first, with intervals over users and compared with the first."""
    if not whole:
        return []
    counts = np.array([[user.counts(metric) for user in result.of_users] for _, result in whole], dtype=np.float64)
    errors, totals = counts[:, :, 1].T, counts[:, :, 2].T  # [users, trials] each
    judged = [replace(_alone(trial, result, metric), same=True) for trial, result in whole]
    if len(totals) >= LEAST_USERS:
        drawn = drawn_sums(np.column_stack([errors, totals]))
        rates = drawn[:, : len(whole)] / np.maximum(1.0, drawn[:, len(whole) :])
        judged = [_within(one, rates[:, place], rates[:, 0]) for place, one in enumerate(judged)]
    return [replace(one, unbeaten=_unbeaten(one, judged)) for one in judged]


def _within(one: Judged, own: np.ndarray, of_best: np.ndarray) -> Judged:
    """The trial with its intervals, by its drawn errors and those of the best [RESAMPLES]."""
    more = interval(own - of_best)
    return replace(one, within=interval(own), more=more, same=more.low <= 0)


def _unbeaten(one: Judged, judged: Sequence[Judged]) -> bool:
    """Whether a trial is on the front of error against bytes, or on that of error against seconds."""
    return any(
        not any(
            other.error <= one.error
            and cost(other.result) <= cost(one.result)
            and (other.error, cost(other.result)) != (one.error, cost(one.result))
            for other in judged
        )
        for cost in (lambda result: result.size_bytes, lambda result: result.seconds)
    )
