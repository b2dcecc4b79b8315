"""Results of sweeps as tests make them up: users by their counts of errors."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ds2ray.config import AdaptConfig, AdapterConfig, SweepConfig
from ds2ray.fleet.sweep.points import SweepPoint, Trial, sweep_points
from ds2ray.fleet.sweep.results import TrialResult, UserResult
from ds2ray.fleet.sweep.search import trial_of


def user(after: int, before: int = 50, words: int = 100, loss: float = 1.0, reason: str = "") -> UserResult:
    """A user with so many word errors, and twice as many in characters."""
    return UserResult(
        loss_before=2.0,
        loss_after=loss,
        words=words,
        word_errors_before=before,
        word_errors_after=after,
        characters=4 * words,
        character_errors_before=2 * before,
        character_errors_after=2 * after,
        epochs=3,
        reason=reason,
    )


def result(point: SweepPoint, errors: Sequence[int], name: str = "", seconds: float = 8.0, **more: Any) -> TrialResult:
    """A trial with these users; the adapter has as many parameters as its widths together."""
    num_parameters = sum(point.adapter.hidden_dims)
    name = name or trial_of(point).trial_id("sample")
    return TrialResult.of(name, point.settings(), num_parameters, seconds, [user(one, **more) for one in errors])


def points_of(*widths: int, **settings: Any) -> list[SweepPoint]:
    """A point for each width."""
    sweep = SweepConfig(hidden_dims=[[width] for width in widths], **settings)
    return sweep_points(sweep, AdapterConfig(), AdaptConfig(num_epochs=20))


class Bench:
    """Stands in for the cluster: errors follow from a width, and are smaller the longer it trains."""

    def __init__(self, best_width: int = 30, failing: Sequence[int] = ()) -> None:
        self.best_width, self.failing = best_width, failing
        self.ran: list[tuple[int, int]] = []  # widths and epochs, in the order in which they were run
        self.kept: dict[str, TrialResult] = {}

    def run(self, points: Mapping[str, SweepPoint]) -> Iterator[TrialResult]:
        for name, point in reversed(list(points.items())):  # in any order
            (width,), epochs = point.adapter.hidden_dims, point.adapt.num_epochs
            self.ran.append((width, epochs))
            errors = abs(width - self.best_width) + 20 - epochs
            reason = "diverged" if width in self.failing else ""
            yield result(point, [errors] * 3, name, reason=reason)

    def keep(self, one: TrialResult) -> None:
        self.kept[one.trial_id] = one

    def known(self, trial_id: str) -> TrialResult | None:
        return self.kept.get(trial_id)


def pairs(*results: tuple[SweepPoint, TrialResult]) -> list[tuple[Trial, TrialResult]]:
    """Trials over all epochs, with their results."""
    return [(trial_of(point), one) for point, one in results]
