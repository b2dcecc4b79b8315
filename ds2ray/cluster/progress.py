"""Progress of a fleet run: a live line on a terminal, a line every half minute in a log."""

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import ray
from ray.exceptions import RayActorError
from ray.tune import Callback

from ds2ray import display
from ds2ray.cluster.measuring.figures import RunFigures
from ds2ray.errors import Ds2RayError, StorageError
from ds2ray.fleet.attempts import Patience
from ds2ray.fleet.cohort_task import CohortStart
from ds2ray.fleet.common_cause import FirstUsers
from ds2ray.fleet.tally import CohortSoFar, Tally
from ds2ray.fleet.trained import TrainedUser
from ds2ray.nights.spent import TRAINING, Spent
from ds2ray.progress import paced
from ds2ray.storage import Traffic
from ds2ray.store.outcomes import Status

SHOWN_EVERY_S = 0.1
EXIT_DETAIL = "Worker exit detail: "


class FleetProgress(Callback):
    """Counts users as Tune reports them, keeps the run's lease alive, and says how a failed trial starts again.

    Args:
        tally: counts what trials report.
        keep_alive: called every half minute while the run goes on.
        max_attempts: starts of a cohort in a row that bring nothing, after which it is given up (see `Patience`).
        first_users: end the run where they all fail for one cause.
        held_back: takes up, by key, the users whose trials publish nothing themselves.
        spent: takes up what trials ask of servers, and is told among Ray's metrics …
        stage: … and which begins with the first report of a trial.
    """

    def __init__(
        self,
        tally: Tally,
        keep_alive: Callable[[], None],
        max_attempts: int,
        first_users: FirstUsers | None = None,
        held_back: dict[str, TrainedUser] | None = None,
        spent: Spent | None = None,
        stage: str = TRAINING,
    ) -> None:
        self.tally = tally
        self.held_back = {} if held_back is None else held_back
        self.spent, self.stage = spent or Spent(), stage
        self.figures = RunFigures()
        self.renewed_s = time.monotonic()

        def renew(line: str) -> None:
            keep_alive()
            self.renewed_s = time.monotonic()

        self.keep_alive = paced(renew)
        self.max_attempts = max_attempts
        self.first_users = first_users or FirstUsers(0)
        self.recoveries: Counter[int] = Counter()  # by cohort: how often its trial was started again
        self.patience: dict[int, Patience] = {}  # by cohort that was started again: how often it still may be
        self.errors: dict[int, BaseException | None] = {}  # by cohort that was given up: its trial's last error
        self.shown_s = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """An empty state: Tune pickles its callbacks for a restore that is never made, and not all fields can be."""
        return {}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        cohort = trial.config["cohort"]
        if self.tally.working_since_s is None:
            self.spent.begin(self.stage)
        statuses = Counter(result.get("statuses", {}))
        so_far = CohortSoFar(**{field.name: result[field.name] for field in fields(CohortSoFar)})
        self.tally.report(cohort, statuses, so_far, time.monotonic())
        self.spent.of_trials += Traffic(**result.get("traffic", {}))
        self.first_users.finished(cohort, statuses, result.get("causes", {}))
        self.held_back.update({user.outcome.user_key: user for user in result.pop("held_back", ())})
        if result["done"]:
            self.tally.finish(cohort)
        if patience := self.patience.get(cohort):
            for status in statuses.elements():
                patience.finished(Status(status), trial.num_failures)
            trial.max_failures = patience.max_failures

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        start = CohortStart(**trial.config)
        patience = self.patience.setdefault(start.cohort, Patience(self.max_attempts))
        error = last_error(trial)
        self.recoveries[start.cohort] += 1
        suspected = told(error)
        why = "its worker ended before its time"
        if node_died(error):
            patience.lost_node()
            suspected, why = "", "its node was lost"
        elif isinstance(our_error(error), StorageError):
            suspected, why = "", suspected
        trial.max_failures = patience.max_failures
        trial.set_config(vars(replace(start, attempt=start.attempt + 1, suspected=suspected)))
        display.say(f"cohort {start.cohort} is started again: {why}")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        cohort = trial.config["cohort"]
        self.errors[cohort] = error = last_error(trial)
        self.first_users.given_up(cohort, told(error), our_error(error))
        self.tally.finish(cohort)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self.keep_alive("")
        self.first_users.require_another_outcome()
        tally, now_s = self.tally, time.monotonic()
        if now_s - self.shown_s >= SHOWN_EVERY_S:
            self.shown_s = now_s
            display.doing(tally.stage(), *tally.facts(now_s), share=tally.share())
            self.figures.tell(tally, self.spent, self.renewed_s, now_s)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        self.figures.tell(self.tally, self.spent, self.renewed_s, time.monotonic(), last=True)


def last_error(trial: Any) -> BaseException | None:
    """The error that ended a trial's last attempt; None where it is not known."""
    # not Trial.get_pickled_error: it reads the copy in Tune's storage, which is written later
    path = trial.pickled_error_file
    if path is None or not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        error: BaseException = ray.cloudpickle.load(file)
    return error


def node_died(error: BaseException | None) -> bool:
    """Whether a worker ended because its whole node did."""
    return isinstance(error, RayActorError) and (error.preempted or "node has died" in str(error))


def our_error(error: BaseException | None) -> Ds2RayError | None:
    """The error of ours that a Ray error wraps: its cause, or that of a failure of base training that it lists."""
    failures = getattr(error, "worker_failures", {}).values()
    for failure in [error, getattr(error, "controller_failure", None), *failures]:
        cause: BaseException | None = failure
        while cause is not None:
            if isinstance(cause, Ds2RayError):
                # Ray raises a class derived from ours and its own, whose text is the whole trace; `cause` is ours
                wrapped = getattr(cause, "cause", None)
                return wrapped if isinstance(wrapped, Ds2RayError) else cause
            cause = getattr(cause, "cause", None) or cause.__cause__
    return None


def told(error: BaseException | None) -> str:
    """An error of a trial in one line."""
    if error is None:
        return ""
    if isinstance(error, RayActorError) and EXIT_DETAIL in str(error):
        # Ray's own guesses, which follow, fill half a page
        detail = str(error).partition(EXIT_DETAIL)[2].partition(" Some common causes")[0].strip(" .")
        return f"its process crashed, was killed, or ran out of memory: {detail}"
    error = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, RayActorError) and error.actor_init_failed and lines:
        return f"it cannot start: {lines[-1]}"  # the last line of a trace says what is wrong
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
