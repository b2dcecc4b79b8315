"""Working a search off: trials that are finished are read, the others are run and kept one by one."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ds2ray import display
from ds2ray.fleet.sweep.points import SweepPoint, Trial
from ds2ray.fleet.sweep.results import TrialResult
from ds2ray.fleet.sweep.search import Course
from ds2ray.progress import duration_text

Run = Callable[[Mapping[str, SweepPoint]], Iterator[TrialResult]]
"""Runs the trials of these points, by the trials' ids; yields the result of each when it is done."""


@dataclass
class Driver:
    """The driver of a search.

    Args:
        sample: digest of users and base, a part of every trial's id.
        known: the result of a finished trial, by its id; None where there is none.
        run: runs trials that are not finished.
        keep: keeps a result.
    """

    course: Course
    sample: str
    known: Callable[[str], TrialResult | None]
    run: Run
    keep: Callable[[TrialResult], None]

    def work_off(self) -> list[tuple[Trial, TrialResult]]:
        """All trials of the search with their results, each once."""
        progress = _Progress(self.course)
        tried: dict[str, tuple[Trial, TrialResult]] = {}
        steps = self.course.steps()
        trials = next(steps, None)
        while trials is not None:
            named = {trial.trial_id(self.sample): trial for trial in trials}
            found = self._found(named, progress)
            tried |= {name: (trial, found[name]) for name, trial in named.items()}
            try:
                trials = steps.send([found[name] for name in named])
            except StopIteration:
                trials = None
        return list(tried.values())

    def _found(self, trials: Mapping[str, Trial], progress: "_Progress") -> dict[str, TrialResult]:
        """The results of some trials, read or run."""
        kept = {name: self.known(name) for name in trials}
        found = {name: result for name, result in kept.items() if result is not None}
        for name in found:
            progress.count(trials[name], was_run=False)
        missing = {name: trial.point for name, trial in trials.items() if name not in found}
        if not missing:
            return found
        progress.tell()
        for result in self.run(missing):
            self.keep(result)
            found[result.trial_id] = result
            progress.count(trials[result.trial_id], was_run=True)
            progress.tell()
        return found


class _Progress:
    """Counts trials and epochs, and tells how long the rest will take."""

    def __init__(self, course: Course) -> None:
        self.course, self.started_s = course, time.monotonic()
        self.num_trials = self.epochs_done = self.epochs_run = 0

    def count(self, trial: Trial, was_run: bool) -> None:
        self.num_trials += 1
        self.epochs_done += trial.point.adapt.num_epochs
        self.epochs_run += trial.point.adapt.num_epochs if was_run else 0

    def tell(self) -> None:
        facts = [f"{self.num_trials}/{self.course.num_trials} trials"]
        left = max(0, self.course.num_epochs - self.epochs_done)
        if self.epochs_run and left:
            facts.append(f"eta {duration_text((time.monotonic() - self.started_s) * left / self.epochs_run)}")
        phase = "training" if self.epochs_run else "encoding speech and training"
        display.doing(phase, *facts, share=min(1.0, self.epochs_done / max(1, self.course.num_epochs)))
