"""A trial whose process really dies when it comes to certain users."""

import itertools
import os
import signal
from collections.abc import Iterator, Sequence

from ds2ray.cluster.cohort_trial import CohortTrial
from ds2ray.cluster.cohort_work import CohortWork
from ds2ray.fleet.cohort_task import FleetTask
from ds2ray.fleet.plan import UserPlan
from ds2ray.training.adapters.cohort import CohortResult
from ds2ray.training.adapters.progress import CohortProgress

POISON = "poison"


class PoisonedWork(CohortWork):
    """Trains the users before the first whose key begins with `POISON`, and dies there."""

    def results(self, users: Sequence[UserPlan]) -> Iterator[CohortResult | CohortProgress]:
        healthy = list(itertools.takewhile(lambda user: not user.user_key.startswith(POISON), users))
        yield from super().results(healthy)
        if len(healthy) < len(users):
            os.kill(os.getpid(), signal.SIGKILL)


class PoisonedTrial(CohortTrial):
    """A trial with such work."""

    def open_work(self, task: FleetTask) -> PoisonedWork:
        return PoisonedWork(task)
