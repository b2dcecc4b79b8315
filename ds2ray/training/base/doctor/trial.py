"""A trial: a few utterances, a fresh model of a training's settings, and steps on them until they are learnt by heart.

Shapes: B utterances, T encoding frames of the longest, V size of the vocabulary.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ds2ray.batching.batches import Batch
from ds2ray.decoding.greedy import Greedy
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.building import build_model
from ds2ray.training.base.task import BaseTask
from ds2ray.training.optim import build_optimizer, clip_gradients, ctc_losses, set_learning_rate

LEARNT = 0.5
"""A batch is learnt by heart at a loss per token below this share of the entropy of its tokens, which is what a model
reaches that knows nothing but how frequent each of them is."""

HOPELESS_STEPS, MOVED = 50, 0.02
"""A trial ends after so many steps where none of the last losses is lower than the first by more than this share."""

WARMUP_STEPS = 20
"""Steps in which the rate rises, as it does at the beginning of a training."""


@dataclass(frozen=True)
class Curve:
    """The losses of a trial, per token and utterance, one for each step.

    Attributes:
        goal: the loss at which the utterances are learnt.
        in_time: whether it ended for another reason than that its time was over.
    """

    losses: tuple[float, ...]
    goal: float
    in_time: bool

    @property
    def last(self) -> float:
        """Mean loss of the last few steps; infinite where any of them is not finite."""
        last = self.losses[-5:]
        return sum(last) / len(last) if last and all(map(math.isfinite, last)) else math.inf

    @property
    def asks_for_more(self) -> bool:
        """Whether the loss has hardly moved, or is still on its way down: a higher rate may do."""
        if not self.losses:
            return False
        still = abs(self.last - self.losses[0]) < 2 * MOVED * self.losses[0]
        third = self.losses[len(self.losses) // 2 : -max(5, len(self.losses) // 4)]
        return still or (bool(third) and self.last < (1 - MOVED) * sum(third) / len(third))

    @property
    def is_learnt(self) -> bool:
        """Whether the utterances are learnt by heart."""
        return bool(self.losses) and self.last <= self.goal


@dataclass
class Trial:
    """A model on trial; `fit` trains it.

    Args:
        rate: learning rate, the highest.
        deadline_s: by `time.monotonic`.
        stopped: asked before each step; a yes ends the steps as the deadline does.
    """

    task: BaseTask
    device: torch.device
    rate: float
    deadline_s: float
    stopped: Callable[[], bool] = lambda: False
    model: AcousticModel = field(init=False)

    def __post_init__(self) -> None:
        task, train = self.task, self.task.train
        with torch.random.fork_rng([torch.cuda.current_device()] if self.device.type == "cuda" else []):
            torch.manual_seed(train.seed)
            self.model = build_model(task.model, task.audio, len(task.vocabulary)).to(self.device)
        if task.initial_state is not None:
            self.model.load_state_dict(task.initial_state)
        self.optimizer = build_optimizer(self.model.parameters(), train.optimizer, self.rate, train.weight_decay)
        self.num_steps = 0

    def fit(self, batches: Sequence[Batch], max_steps: int) -> Curve:
        """Train on the batches in turn until they are learnt, or for so many steps, without changes to the speech."""
        goal, losses, in_time = LEARNT * token_entropy(batches), list[float](), True
        self.model.train()
        for step in range(max_steps):
            if self.stopped() or time.monotonic() > self.deadline_s:
                in_time = False
                break
            losses.append(self._step(batches[step % len(batches)]))
            recent = losses[-max(5, len(batches)) :]
            if not math.isfinite(losses[-1]) or (len(recent) >= 5 and sum(recent) / len(recent) <= goal):
                break
            if len(losses) == HOPELESS_STEPS and min(recent) >= (1 - MOVED) * losses[0] > goal:
                break
        return Curve(tuple(losses), goal, in_time)

    def _step(self, batch: Batch) -> float:
        self.num_steps += 1
        set_learning_rate(self.optimizer, self.rate * min(1.0, self.num_steps / WARMUP_STEPS))
        loss = self._losses(batch.to(self.device))[0].mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if math.isfinite(float(clip_gradients(self.model.parameters(), self.task.train.max_grad_norm))):
            self.optimizer.step()
        return float(loss.detach())

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Losses [B], log-probabilities [B, T, V], and lengths [B]."""
        log_probs, lengths = self.model(*self.model.features(batch.waveforms, batch.num_samples))
        return ctc_losses(log_probs, lengths, batch.tokens, batch.num_tokens), log_probs, lengths

    @torch.no_grad()
    def hear(self, batch: Batch) -> tuple[list[float], list[str]]:
        """The loss of each utterance, and what is recognised in it."""
        self.model.eval()
        losses, log_probs, lengths = self._losses(batch.to(self.device))
        texts = [self.task.vocabulary.decode(row.token_ids) for row in Greedy().decode(log_probs, lengths)]
        return losses.tolist(), texts

    @torch.no_grad()
    def losses_with(self, batch: Batch, tokens: Sequence[Sequence[int]]) -> list[float]:
        """The loss of each utterance with other tokens than its own; NaN where its audio is too short for them."""
        self.model.eval()
        moved = batch.to(self.device)
        log_probs, lengths = self.model(*self.model.features(moved.waveforms, moved.num_samples))
        num_tokens = torch.tensor([len(row) for row in tokens], device=self.device)
        padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in tokens], batch_first=True)
        losses = ctc_losses(log_probs, lengths, padded.to(self.device), num_tokens).tolist()
        return [loss or math.nan for loss in losses]  # CTC has 0 for rows that are too short, and for no other


def token_entropy(batches: Sequence[Batch]) -> float:
    """Entropy of the tokens of batches, in nats."""
    counts = Counter(
        token
        for batch in batches
        for row, length in zip(batch.tokens.tolist(), batch.num_tokens.tolist(), strict=True)
        for token in row[:length]
    )
    total = sum(counts.values())
    entropy = -sum(count / total * math.log(count / total) for count in counts.values())
    return max(entropy, 0.1)  # one and the same token again and again has none
