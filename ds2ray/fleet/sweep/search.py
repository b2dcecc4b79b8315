"""The order in which the points of a sweep are tried: all, some of them, by halves, or as Optuna chooses. Pure.

A search yields trials and is sent their results, until it has none left: what it yields depends on these alone, so
that a sweep that was stopped goes the same way again, and reads what is finished.
"""

import importlib
import logging
import math
import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ds2ray.config import ErrorMetric, Search, SweepConfig
from ds2ray.errors import ConfigError
from ds2ray.fleet.sweep.points import TRIED, SweepPoint, Trial
from ds2ray.fleet.sweep.results import TrialResult

Steps = Generator[list[Trial], list[TrialResult], None]
"""Yields trials, and is sent their results in the same order."""

AT_ONCE = 4
"""Trials that Optuna chooses at a time: it learns from those before, and so many run at once."""


@dataclass(frozen=True)
class Course:
    """The course of a search.

    Attributes:
        steps: its trials, a few at a time.
        num_trials: so many in all.
        num_epochs: of all trials together, about: what they cost.
        stages: the number of trials in each of its stages and the share of their epochs, for the plan.
    """

    steps: Callable[[], Steps]
    num_trials: int
    num_epochs: int
    stages: tuple[tuple[int, float], ...]


def course_of(sweep: SweepConfig, points: Sequence[SweepPoint], metric: ErrorMetric, seed: int) -> Course:
    """The course of the search that the settings ask for.

    Raises:
        ConfigError: it needs Optuna, which is not installed.
    """
    mean_epochs = sum(point.adapt.num_epochs for point in points) / len(points)
    if sweep.search is Search.optuna:
        require_optuna()
        number = min(sweep.num_trials, len(points))
        return Course(
            lambda: _by_optuna(points, number, metric, seed), number, round(number * mean_epochs), ((number, 1.0),)
        )
    tried = list(points)
    if sweep.search is Search.random and sweep.num_trials < len(points):
        drawn = random.Random(seed).sample(range(len(points)), sweep.num_trials)
        tried = [points[place] for place in sorted(drawn)]
    stages = halving_stages(len(tried), sweep.halving, min(point.adapt.num_epochs for point in tried))
    return Course(
        lambda: _by_halving(tried, stages, metric),
        sum(number for number, _ in stages),
        round(sum(number * share for number, share in stages) * mean_epochs),
        stages,
    )


def halving_stages(num_points: int, rate: int, num_epochs: int) -> tuple[tuple[int, float], ...]:
    """The number of trials and the share of their epochs in each stage of successive halving.

    Li and others, "A System for Massively Parallel Hyperparameter Tuning" (2020): of every `rate` trials the best goes
    on with `rate` times as many epochs. There are so many stages that one is left at least, and that the first trains
    for an epoch at least.
    """
    number = 0
    while rate > 1 and rate ** (number + 1) <= min(num_points, num_epochs):
        number += 1
    return tuple((math.ceil(num_points / rate**stage), rate ** (stage - number)) for stage in range(number + 1))


def _by_halving(points: Sequence[SweepPoint], stages: Sequence[tuple[int, float]], metric: ErrorMetric) -> Steps:
    """All points for a part of their epochs, the best of them for longer, and so on; in one stage, all of them."""
    left = list(points)
    for number, share in stages:
        trials = [trial_of(point, share) for point in left[:number]]
        results = yield trials
        ranked = sorted(range(len(trials)), key=lambda place: (rank(results[place], metric), place))
        left = [left[place] for place in ranked]


def trial_of(point: SweepPoint, share: float = 1.0) -> Trial:
    """The trial of a point for a share of its epochs, at least one."""
    num_epochs = max(1, round(share * point.adapt.num_epochs))
    return Trial(replace(point, adapt=replace(point.adapt, num_epochs=num_epochs)), point.adapt.num_epochs)


def rank(result: TrialResult, metric: ErrorMetric) -> tuple[float, float, int]:
    """What trials are ordered by, best first: error, then loss, then size; failed ones come last."""
    if result.reason:
        return math.inf, math.inf, result.num_parameters
    return result.rates(metric)[1], result.loss, result.num_parameters


def require_optuna() -> Any:
    """The module of Optuna. Raises ConfigError where it is not installed."""
    try:
        return importlib.import_module("optuna")
    except ImportError as error:
        raise ConfigError(
            f"sweep.search=optuna needs Optuna, which is not installed ({error}): pip install 'ds2ray[search]', or "
            "sweep.search=random"
        ) from error


def _by_optuna(points: Sequence[SweepPoint], number: int, metric: ErrorMetric, seed: int) -> Steps:
    """Points that Optuna's tree of Parzen estimators chooses, AT_ONCE at a time, each point once."""
    optuna = require_optuna()
    logger = logging.getLogger("optuna")
    logger.setLevel(logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True))
    by_settings = {_values(point): point for point in points}
    choices = {name: _sorted({values[place] for values in by_settings}) for place, name in enumerate(TRIED)}
    space = {
        name: optuna.distributions.CategoricalDistribution(list(range(len(values))))
        for name, values in choices.items()
        if len(values) > 1
    }
    left, draw = dict(by_settings), random.Random(seed)
    while len(by_settings) - len(left) < number:
        asked = []
        for _ in range(min(AT_ONCE, number - (len(by_settings) - len(left)))):
            chosen = study.ask(space)
            values = tuple(choices[name][chosen.params.get(name, 0)] for name in TRIED)
            if values not in left:  # it was tried, or no kind of adapter has these together
                values = draw.choice(list(left))
                study.tell(chosen, state=optuna.trial.TrialState.FAIL)
                chosen = None
            asked.append((chosen, values, left.pop(values)))
        results = yield [trial_of(point) for _, _, point in asked]
        for (chosen, values, _), result in zip(asked, results, strict=True):
            error = rank(result, metric)[0]
            if chosen is None:
                places = {name: choices[name].index(values[TRIED.index(name)]) for name in space}
                if math.isfinite(error):
                    study.add_trial(optuna.trial.create_trial(params=places, distributions=space, value=error))
            elif math.isfinite(error):
                study.tell(chosen, error)
            else:
                study.tell(chosen, state=optuna.trial.TrialState.FAIL)


def _values(point: SweepPoint) -> tuple[str, ...]:
    """The values of all settings that a sweep tries, as texts; empty where the kind of adapter lacks one."""
    settings = point.settings()
    return tuple(repr(settings[name]) if name in settings else "" for name in TRIED)


def _sorted(values: set[str]) -> list[str]:
    return sorted(values)
