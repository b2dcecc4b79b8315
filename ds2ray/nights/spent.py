"""What a run has spent: seconds by stage, and the GPUs that it held."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ds2ray.storage import Traffic, traffic_so_far

TRAINING = "training"
CANARY = "canary"
"""The stages in which a run holds the cluster's GPUs: of all users, and of those who try a new base first."""


def training_s(summary: Mapping[str, Any]) -> float:
    """Seconds of a run's training by its summary; 0 where a run of an earlier release does not tell them."""
    stages = summary.get("stages")
    return sum(float(stages.get(stage, 0.0)) for stage in (TRAINING, CANARY)) if isinstance(stages, dict) else 0.0


@dataclass
class Spent:
    """The seconds of a run by stage, in their order. One stage is under way at a time.

    Attributes:
        stages: seconds of the stages that are over.
        gpus: of the cluster, while the run trains.
        estimated_s: what the whole run was going to take, by the runs before; None where they did not tell.
        speech_s: seconds of speech of the users who are trained.
        of_trials: what trials asked of servers.
        last_good_s: when a run was last complete, in seconds since 1970; None where that is not known.
    """

    stages: dict[str, float] = field(default_factory=dict)
    gpus: float = 0.0
    estimated_s: float | None = None
    speech_s: float = 0.0
    of_trials: Traffic = field(default_factory=Traffic)
    last_good_s: float | None = None
    _stage: str = ""
    _since_s: float = 0.0
    _before: Traffic = field(default_factory=traffic_so_far)

    @property
    def traffic(self) -> Traffic:
        """What the run asked of servers so far, trials and all."""
        return traffic_so_far() - self._before + self.of_trials

    def stages_so_far(self) -> dict[str, float]:
        """Seconds of every stage, with those of the one that is under way."""
        now = {self._stage: time.monotonic() - self._since_s} if self._stage else {}
        return {stage: self.stages.get(stage, 0.0) + now.get(stage, 0.0) for stage in {**self.stages, **now}}

    def begin(self, stage: str) -> None:
        """End the stage that is under way, and begin another."""
        now_s = time.monotonic()
        if self._stage:
            self.stages[self._stage] = self.stages.get(self._stage, 0.0) + now_s - self._since_s
        self._stage, self._since_s = stage, now_s

    def document(self) -> dict[str, object]:
        """The fields of summary.json that tell it; the stage under way counts as it stands."""
        self.begin(self._stage)
        return {
            "stages": {stage: round(seconds, 3) for stage, seconds in self.stages.items()},
            "gpus": self.gpus,
            "estimated_s": self.estimated_s,
            "speech_trained_s": round(self.speech_s, 3),
            "traffic": vars(self.traffic),
            "traffic_of_trials": vars(self.of_trials),
        }
