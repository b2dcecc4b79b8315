"""Progress of the adapters in a stack, apart from their weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from ds2ray.batching.batches import epoch_batches
from ds2ray.config import AdaptConfig, Schedule
from ds2ray.training.adapters.results import Evaluation
from ds2ray.training.adapters.split import Part
from ds2ray.training.optim import learning_rate_at

WARMUP_FRACTION = 0.1
"""Share of an adapter's steps in which its learning rate rises."""


@dataclass
class Learner:
    """One adapter's progress, apart from the weights. At the end of an epoch it waits for the user's others."""

    user: int
    place: int  # in the bank
    part: Part
    seed: int
    config: AdaptConfig
    lengths: Sequence[int]
    best: dict[str, Tensor]
    max_steps_per_epoch: int  # 0: all
    epoch: int = 0
    position: int = 0
    batches: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        steps = math.ceil(len(self.part.train) / self.config.batch_size)
        self.steps_per_epoch = min(steps, self.max_steps_per_epoch or steps)
        self.begin(0)

    def begin(self, epoch: int) -> None:
        self.epoch, self.position = epoch, 0
        self.batches = epoch_batches(self.lengths, self.config.batch_size, 1, self.seed, epoch)

    @property
    def waits(self) -> bool:
        return self.position == self.steps_per_epoch

    @property
    def step(self) -> int:
        return self.epoch * self.steps_per_epoch + self.position

    def learning_rate(self) -> float:
        total = self.steps_per_epoch * self.config.num_epochs
        return learning_rate_at(self.step, total, self.config.learning_rate, Schedule.one_cycle, WARMUP_FRACTION)

    @property
    def joins(self) -> bool:
        """Whether the step's utterances run together in pairs.

        The steps that do are the same for all users: a stack takes as long as its longest row.
        """
        return joins_in(self.step, self.config.join_share)

    def rows(self) -> list[int]:
        """The utterances of the step."""
        return [self.part.train[index] for index in self.batches[self.position]]


def joins_in(step: int, share: float) -> bool:
    """Whether utterances run together in a step: in a share of the steps, evenly spread."""
    return math.floor((step + 1) * share) > math.floor(step * share)


@dataclass
class Member:
    """A user's progress; `learners` belong to the parts of the speech."""

    before: Evaluation
    learners: list[Learner]
    best_loss: float
    best_epoch: int = -1
    epoch: int = 0
    bad_steps: int = 0
    bad_in_epoch: int = 0
