"""How far a base run has come."""

from dataclasses import dataclass, field
from typing import Any

from ds2ray.training.base.reports import StepSums


@dataclass
class RunState:
    """What a checkpoint says of a run, beside what the run has learned."""

    epochs: int = 0  # that are finished
    done: list[list[int]] = field(default_factory=list)  # [ranks, steps]: the parts of the epoch under way
    step: int = 0  # steps of the run so far
    learning_rate: float = 0.0  # of the last of them
    bad_steps: int = 0  # of them, without a finite gradient …
    bad_steps_in_a_row: int = 0  # … and up to the last one
    sums: StepSums = field(default_factory=StepSums)  # of the epoch under way
    best_epoch: int = 0  # counted from 1; 0: none has ended …
    best_error: list[float] = field(default_factory=list)  # … and its error
    report: dict[str, Any] | None = None  # of the last finished epoch

    @classmethod
    def of(cls, saved: dict[str, Any]) -> "RunState":
        """The inverse of `dataclasses.asdict`."""
        return cls(**{**saved, "sums": StepSums(**saved["sums"])})
