"""The position of a base training."""

from dataclasses import dataclass, field
from typing import Any

from ds2ray.training.base.reports import StepSums


@dataclass
class RunState:
    """The position of a training and its figures so far: the part of a checkpoint beside weights and optimizer."""

    epochs: int = 0  # finished epochs
    done: list[list[int]] = field(default_factory=list)  # [ranks, steps]: the parts of the epoch under way
    own_groups: bool = False  # whether each rank has row groups of its own in the epoch under way
    step: int = 0  # steps of the run so far
    learning_rate: float = 0.0  # of the last step
    bad_steps: int = 0  # steps without a finite gradient
    bad_steps_in_a_row: int = 0  # bad steps since the last good one
    sums: StepSums = field(default_factory=StepSums)  # of the epoch under way
    best_epoch: int = 0  # counted from 1; 0: no epoch has ended
    best_error: list[float] = field(default_factory=list)  # of the best epoch
    report: dict[str, Any] | None = None  # of the last finished epoch

    @classmethod
    def of(cls, saved: dict[str, Any]) -> "RunState":
        """The inverse of `dataclasses.asdict`."""
        return cls(**{**saved, "sums": StepSums(**saved["sums"])})
