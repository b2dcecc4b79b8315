"""Progress of the adapters in a stack, apart from their weights."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ds2ray.batching.batches import epoch_batches, spread_order
from ds2ray.config import AdaptConfig, AdapterConfig, Schedule
from ds2ray.metrics import Score
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.model.adapters.kinds import build_adapter
from ds2ray.training.adapters.judging.results import Evaluation
from ds2ray.training.adapters.judging.split import Part
from ds2ray.training.further import JOINED
from ds2ray.training.optim import learning_rate_at
from ds2ray.training.seeds import derive_seed

WARMUP_FRACTION = 0.1
"""Share of an adapter's steps in which its learning rate rises."""

LEAST_STRENGTH = 0.5
"""Of the pull on ordinary speech: who is hardly heard by the base gains most, and would else forget without bounds."""


@dataclass
class Passes:
    """The batches of rows over and over, in another order in each pass.

    Users of a stack step together, which takes as long as the longest row: so all have their short and their long rows
    at the same steps (`spread_order`).

    Attributes:
        lengths: frames of the rows.
        num_batches: of each pass.
    """

    rows: Sequence[int]
    lengths: Sequence[int]
    batch_size: int
    seed: int
    num_batches: int
    _pass: int = -1
    _batches: list[list[int]] = field(default_factory=list)

    def batch(self, number: int) -> list[int]:
        """The rows of a batch, counted through all passes."""
        number_of_pass, place = divmod(number, self.num_batches)
        if number_of_pass != self._pass:
            self._pass = number_of_pass
            batches = epoch_batches(self.lengths, self.batch_size, 1, self.seed, number_of_pass)
            batches.sort(key=lambda batch: max(self.lengths[index] for index in batch))
            self._batches = [batches[rank] for rank in spread_order(len(batches), number - place)]
        return [self.rows[index] for index in self._batches[place]]


@dataclass
class Learner:
    """One adapter's progress, apart from the weights. At the end of an epoch it waits for the user's others."""

    user: int
    place: int  # in the bank
    part: Part
    seed: int
    config: AdaptConfig
    length: Callable[[int], int]  # frames of a row
    best: dict[str, Tensor]
    max_steps_per_epoch: int  # 0: all
    epoch: int = 0
    position: int = 0

    def __post_init__(self) -> None:
        size = self.config.batch_size
        steps = math.ceil(len(self.part.train) / size)
        steps = min(steps, self.max_steps_per_epoch or steps)
        heard_steps = steps_on_heard(steps, math.ceil(len(self.part.heard) / size), self.config.unlabelled_share)
        self.steps_per_epoch = steps + heard_steps
        self.heard_share = heard_steps / self.steps_per_epoch
        self.plain = self._passes(self.part.train, size, self.seed, steps)
        seed = derive_seed(self.seed, "heard")
        self.heard = self._passes(self.part.heard, size, seed, math.ceil(len(self.part.heard) / size))
        # a recording holds two utterances, so that a step has as much speech
        size = further_batch_size(size)
        seed = derive_seed(self.seed, "further")
        self.further = self._passes(self.part.further, size, seed, math.ceil(len(self.part.further) / size))
        self.share = self.config.further_share if self.part.further else 0.0

    def _passes(self, rows: Sequence[int], batch_size: int, seed: int, num_batches: int) -> Passes:
        return Passes(rows, [self.length(row) for row in rows], batch_size, seed, num_batches)

    def begin(self, epoch: int) -> None:
        self.epoch, self.position = epoch, 0

    @property
    def waits(self) -> bool:
        return self.position == self.steps_per_epoch

    @property
    def step(self) -> int:
        return self.epoch * self.steps_per_epoch + self.position

    @property
    def num_steps(self) -> int:
        """Steps of all epochs, if it does not stop early."""
        return self.steps_per_epoch * self.config.num_epochs

    def learning_rate(self) -> float:
        return learning_rate_at(
            self.step, self.num_steps, self.config.learning_rate, Schedule.one_cycle, WARMUP_FRACTION
        )

    def rows(self) -> list[int]:
        """The rows of the step: utterances or, in a share of the steps, passages that were heard or, in a share of the
        others, further recordings.

        The steps that have these are the same for all users who have as much of each: a stack takes as long as its
        longest row.
        """
        num_heard = steps_of(self.step, self.heard_share)
        if steps_of(self.step + 1, self.heard_share) > num_heard:
            return self.heard.batch(num_heard)
        step = self.step - num_heard
        num_further = steps_of(step, self.share)
        if steps_of(step + 1, self.share) > num_further:
            return self.further.batch(num_further)
        return self.plain.batch(step - num_further)


def warm_config(config: AdaptConfig) -> AdaptConfig:
    """The settings of a user whose training goes on from an adapter that is trained already."""
    return replace(config, num_epochs=config.warm_epochs, learning_rate=config.warm_learning_rate)


def held_to_base(config: AdaptConfig, before: Score) -> AdaptConfig:
    """The settings of a user of whom the base makes these errors: the fewer they are, the stronger is its pull on
    ordinary speech, as less is to be gained."""
    strength = max(LEAST_STRENGTH, 1 - before.rate(config.gate_metric))
    return replace(config, anchor_weight=config.anchor_weight * strength)


def is_judged(epoch: int, config: AdaptConfig) -> bool:
    """Whether held-out speech is heard after this epoch, counted from 0.

    After each where training may stop early; else in the second half alone, as the held-out loss is lowest where the
    rate has fallen.
    """
    return config.patience_epochs < config.num_epochs or epoch >= config.num_epochs // 2


def steps_of(step: int, share: float) -> int:
    """How many of the steps before this one were of a kind that has a share of all, evenly spread."""
    return math.floor(step * share)


def steps_on_heard(steps: int, heard_steps: int, most: float) -> int:
    """Steps of an epoch on passages that were heard, beside `steps` on other speech: one on each batch of them, and at
    most a share of all."""
    return min(heard_steps, math.floor(steps * most / (1 - most)))


def further_batch_size(batch_size: int) -> int:
    """Further recordings of a step, for which there are about half as many utterances as rows."""
    return max(1, batch_size // JOINED)


@dataclass
class Member:
    """A user's progress.

    Attributes:
        before: of the base alone.
        learners: of the parts of the speech.
        start: the evaluation of the adapter that training started from, where that was trained before.
        after: of the best weights, where they were decoded already.
    """

    before: Evaluation
    learners: list[Learner]
    config: AdaptConfig
    best_loss: float
    start: Evaluation | None = None
    after: Evaluation | None = None
    best_epoch: int = -1
    epoch: int = 0
    bad_steps: int = 0
    bad_in_epoch: int = 0


def fresh_adapter(model: AcousticModel, config: AdapterConfig, seed: int, device: torch.device | str) -> Adapter:
    """A new adapter for a place of the model; the seed alone decides on its weights."""
    torch.manual_seed(seed)
    return build_adapter(model.encoding_dim(config.after_layer), config).to(device)
