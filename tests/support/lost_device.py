"""A trial whose device is lost when it comes to certain users, by the error that torch raises then."""

import torch

from ds2ray.cluster.cohort_trial import CohortTrial
from ds2ray.cluster.cohort_work import CohortWork
from ds2ray.fleet.cohort_task import FleetTask
from ds2ray.training.adapters.judging.gate import CurrentAdapter

GUILTY = "guilty"

_lost = False


class LosingWork(CohortWork):
    """Loses the device at users whose keys begin with `GUILTY`; from then on this process can train nobody."""

    def _current(self, user_key: str) -> CurrentAdapter | None:
        global _lost
        _lost = _lost or user_key.startswith(GUILTY)
        if _lost:
            raise torch.AcceleratorError("CUDA error: device-side assert triggered")
        return super()._current(user_key)


class LosingTrial(CohortTrial):
    """A trial with such work."""

    def open_work(self, task: FleetTask) -> LosingWork:
        return LosingWork(task)
