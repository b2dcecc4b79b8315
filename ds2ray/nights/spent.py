"""What a run has spent: seconds by stage, and the GPUs that it held."""

import time
from dataclasses import dataclass, field

TRAINING = "training"
"""The stage in which a run holds the cluster's GPUs."""


@dataclass
class Spent:
    """The seconds of a run by stage, in their order. One stage is under way at a time.

    Attributes:
        stages: seconds of the stages that are over.
        gpus: of the cluster, while the run trains.
        estimated_s: what the whole run was going to take, by the runs before; None where they did not tell.
        speech_s: seconds of speech of the users who are trained.
    """

    stages: dict[str, float] = field(default_factory=dict)
    gpus: float = 0.0
    estimated_s: float | None = None
    speech_s: float = 0.0
    _stage: str = ""
    _since_s: float = 0.0

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
        }
