"""A queue of any number of cohorts for Tune: their trials are made one by one, and forgotten when finished."""

import itertools
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher


class CohortByCohort(Searcher):
    """Suggests cohort 0, 1, … until Tune has `num_samples`. A grid search would make all trials beforehand."""

    def __init__(self) -> None:
        super().__init__()
        self.cohorts = itertools.count()

    def suggest(self, trial_id: str) -> dict[str, int]:
        return {"cohort": next(self.cohorts)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        pass

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: outcomes tell which cohorts are done."""


class ForgetfulScheduler(FIFOScheduler):
    """Runs trials in their order, and makes Tune forget every completed trial but the last."""

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        # Tune keeps every trial for a table of results that is not used here, and offers no way to drop one. `trial`
        # itself still counts as running; Tune needs those that finished before it no more.
        finished = tune_controller._stopped_trials
        for earlier in finished:
            tune_controller.get_trials().remove(earlier)
        tune_controller._trials_to_cache -= finished
        finished.clear()


class NoTrialProgress(TrialProgressCallback):
    """Replaces Tune's own progress callback, which keeps a record of every trial even where it prints nothing."""

    def on_trial_result(self, *args: Any, **info: Any) -> None:
        pass

    def on_trial_error(self, *args: Any, **info: Any) -> None:
        pass

    def on_trial_complete(self, *args: Any, **info: Any) -> None:
        pass
