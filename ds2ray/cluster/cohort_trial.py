"""A Tune trial: one cohort of users, on an actor that is used again for the next cohort.

The driver imports this module for the trial's class alone: torch is imported where a trial works.
"""

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ray import tune

from ds2ray import storage
from ds2ray.cluster.session import end_at_sigterm
from ds2ray.fleet.cohort_task import CohortStart, FleetTask

if TYPE_CHECKING:
    from ds2ray.cluster.cohort_work import CohortWork


class CohortTrial(tune.Trainable):
    """Trains the users of the cohort that its config names; each step reports the users that it finished."""

    def __init__(self, *args: Any, **options: Any) -> None:
        end_at_sigterm()
        super().__init__(*args, **options)

    def setup(self, config: dict[str, Any], task: FleetTask) -> None:  # type: ignore[override]  # tune.with_parameters
        logging.basicConfig(level=logging.WARNING, format="%(message)s")
        storage.known_to_answer(task.store.server, task.outside)
        self.open_contexts = ExitStack()
        self.open_contexts.enter_context(storage.using(task.outside))
        self.work = self.open_work(task)
        self.work.take_up(CohortStart(**config))

    def open_work(self, task: FleetTask) -> "CohortWork":
        """The work on one cohort after the other, with the base opened."""
        from ds2ray.cluster.cohort_work import CohortWork

        return CohortWork(task)

    def cleanup(self) -> None:
        self.open_contexts.close()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.work.take_up(CohortStart(**new_config))
        return True

    def step(self) -> dict[str, Any]:
        return self.work.go_on()
