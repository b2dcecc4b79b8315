"""One user's adapter: the training loop, early stopping and held-out evaluation.

Shapes: B utterances, T encoding frames of the longest, D width of the encodings, V size of the vocabulary.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ds2ray.batching.batches import epoch_batches
from ds2ray.config import LAST_LAYER, AdaptConfig, OptimizerType, Schedule
from ds2ray.decoding.greedy import greedy
from ds2ray.decoding.scoring import score_decoded
from ds2ray.errors import TrainingDivergedError
from ds2ray.metrics import Score
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.text import Vocabulary
from ds2ray.training.adapters.split import Part, part_seed
from ds2ray.training.optim import (
    build_optimizer,
    clip_gradients,
    ctc_losses,
    kl_divergences,
    learning_rate_at,
    set_learning_rate,
)
from ds2ray.training.precision import products_in
from ds2ray.training.seeds import derive_seed

WARMUP_FRACTION = 0.1
"""Share of an adapter's steps in which its learning rate rises."""

EncodeRows = Callable[[Sequence[int]], tuple[Tensor, Tensor]]
"""Utterance indices → padded encodings [B, T, D] and their lengths int64 [B], on the training device."""


@dataclass(frozen=True)
class UserSpeech:
    """One user's speech for training: encodings by utterance index, and their transcripts.

    Attributes:
        encode: gives the encodings of some of the utterances.
        durations: of each utterance, in any unit; utterances of like duration share a batch.
        tokens: int64 [L] per utterance.
        transcripts: per utterance.
        parts: an adapter is trained for each, and the first is the user's (see `split`).
    """

    encode: EncodeRows
    durations: Sequence[float]
    tokens: Sequence[Tensor]
    transcripts: Sequence[str]
    parts: Sequence[Part]

    @property
    def held_out(self) -> list[int]:
        """The held-out utterances of all parts."""
        return [row for part in self.parts for row in part.held_out]


@dataclass(frozen=True)
class AdapterFit:
    """A trained adapter with its loss and errors on the held-out utterances, and those of the base alone."""

    state: dict[str, Tensor]
    epochs: int
    bad_steps: int
    loss_before: float
    loss_after: float
    score_before: Score
    score_after: Score


@dataclass(frozen=True)
class Evaluation:
    """Mean CTC loss per token, and errors."""

    loss: float
    score: Score


Criterion = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(log-probabilities [B, T, V], lengths [B], tokens [B, L], number of tokens [B]) → losses of the rows [B]."""


def pad_frames(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Encodings [T, D] of some utterances → padded [B, T, D] and their lengths int64 [B]."""
    lengths = torch.tensor([len(row) for row in rows], device=rows[0].device)
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True), lengths


def pad_tokens(tokens: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token rows int64 [L] → padded [B, L] and their numbers [B], on `device`."""
    counts = torch.tensor([len(row) for row in tokens], device=device)
    return nn.utils.rnn.pad_sequence(list(tokens), batch_first=True).to(device), counts


def fit_adapter(
    model: AcousticModel,
    adapter: Adapter,
    speech: UserSpeech,
    vocabulary: Vocabulary,
    config: AdaptConfig,
    *,
    seed: int,
    after_layer: int = LAST_LAYER,
    optimizer: torch.optim.Optimizer | None = None,
    criterion: Criterion = ctc_losses,
    max_steps_per_epoch: int = 0,
) -> AdapterFit:
    """Train one adapter against a frozen base; it ends with the weights of its best held-out loss.

    The same seed, speech and config give the same adapter, whatever ran before. With further parts in `speech`, each
    part has an adapter of its own, and the further parts' adapters are judged on their held-out utterances.

    Args:
        adapter: trained in place.
        optimizer: over the adapter's parameters; its rate is the schedule's highest. None: AdamW as `config` says.
        max_steps_per_epoch: 0 for all.

    Raises:
        TrainingDivergedError: no step of an epoch had a finite loss and gradient.
    """
    model.freeze_base_model()
    model.train()
    training = _Training(model, speech, config, after_layer, criterion)
    learners = [
        _Learner(
            adapter if part == 0 else copy.deepcopy(adapter), speech, part, config, seed, optimizer, max_steps_per_epoch
        )
        for part in range(len(speech.parts))
    ]
    judges = [learner for learner in learners if learner.part.held_out]
    before = training.evaluate(None, speech.held_out, vocabulary)
    best_loss, best_epoch, epoch = before.loss, -1, 0
    for learner in learners:
        learner.keep()
    for epoch in range(config.num_epochs):
        for learner in learners:
            learner.run_epoch(training, epoch)
        loss = training.held_out(judges).loss
        if loss < best_loss:
            best_loss, best_epoch = loss, epoch
            for learner in learners:
                learner.keep()
        if epoch - best_epoch >= config.patience_epochs:
            break
    for learner in learners:
        learner.restore()
    after = training.held_out(judges, vocabulary)
    return AdapterFit(
        learners[0].best, epoch + 1, learners[0].bad_steps, before.loss, after.loss, before.score, after.score
    )


class _Learner:
    """The adapter of one part, its optimizer and its best weights."""

    def __init__(
        self,
        adapter: Adapter,
        speech: UserSpeech,
        part: int,
        config: AdaptConfig,
        seed: int,
        optimizer: torch.optim.Optimizer | None,
        max_steps_per_epoch: int,
    ) -> None:
        self.adapter, self.part, self.seed = adapter, speech.parts[part], part_seed(seed, part)
        self.is_users = part == 0
        self.optimizer = optimizer or build_optimizer(
            adapter.parameters(), OptimizerType.adamw, config.learning_rate, config.weight_decay
        )
        self.peak = self.optimizer.param_groups[0]["lr"]
        self.batch_size = config.batch_size
        self.durations = [speech.durations[index] for index in self.part.train]
        steps = math.ceil(len(self.part.train) / config.batch_size)
        self.steps_per_epoch = min(steps, max_steps_per_epoch) if max_steps_per_epoch else steps
        self.total_steps = self.steps_per_epoch * config.num_epochs
        self.bad_steps = 0
        self.best: dict[str, Tensor] = {}

    def keep(self) -> None:
        """Remember the present weights as the best ones."""
        self.best = copy.deepcopy(self.adapter.state_dict())

    def restore(self) -> None:
        self.adapter.load_state_dict(self.best)

    def run_epoch(self, training: "_Training", epoch: int) -> None:
        self.adapter.train()
        batches = epoch_batches(self.durations, self.batch_size, 1, self.seed, epoch)[: self.steps_per_epoch]
        bad = 0
        for position, batch in enumerate(batches):
            step = epoch * self.steps_per_epoch + position
            rate = learning_rate_at(step, self.total_steps, self.peak, Schedule.one_cycle, WARMUP_FRACTION)
            set_learning_rate(self.optimizer, rate)
            torch.manual_seed(derive_seed(self.seed, step))
            bad += not training.step(self.adapter, self.optimizer, [self.part.train[index] for index in batch])
        self.bad_steps += bad
        if bad == len(batches) and self.is_users:
            raise TrainingDivergedError(
                f"no step of epoch {epoch + 1} had a finite loss and gradient; look for damaged audio, "
                f"or lower the learning rate ({self.peak:g})"
            )


@dataclass(frozen=True)
class _Training:
    """The model, speech and settings that all steps of a user's training share."""

    model: AcousticModel
    speech: UserSpeech
    config: AdaptConfig
    after_layer: int
    criterion: Criterion

    def step(self, adapter: Adapter, optimizer: torch.optim.Optimizer, rows: Sequence[int]) -> bool:
        """One optimizer step; False, and nothing changed, where loss or gradient is not finite."""
        encodings, lengths = self.speech.encode(rows)
        tokens, num_tokens = pad_tokens([self.speech.tokens[row] for row in rows], encodings.device)
        with products_in(self.config.precision, encodings.device):
            adapted = adapter(encodings)
        log_probs = self.model.head(adapted, lengths, self.after_layer)
        losses = self.criterion(log_probs, lengths, tokens, num_tokens)
        if self.config.kl_weight:
            with torch.no_grad():
                of_base = self.model.head(encodings, lengths, self.after_layer)
            losses = losses + self.config.kl_weight * kl_divergences(log_probs, of_base, lengths)
        optimizer.zero_grad(set_to_none=True)
        losses.mean().backward()
        finite = bool(clip_gradients(adapter.parameters(), self.config.max_grad_norm).isfinite())
        if finite:
            optimizer.step()
        return finite

    @torch.no_grad()
    def held_out(self, judges: Sequence[_Learner], vocabulary: Vocabulary | None = None) -> Evaluation:
        """Mean loss, and with a vocabulary errors, of each judge on the utterances that it has not learned from."""
        loss, score = 0.0, Score()
        for judge in judges:
            own = self.evaluate(judge.adapter, judge.part.held_out, vocabulary)
            loss, score = loss + own.loss * len(judge.part.held_out), score + own.score
        return Evaluation(loss / len(self.speech.held_out), score)

    @torch.no_grad()
    def evaluate(self, adapter: Adapter | None, rows: Sequence[int], vocabulary: Vocabulary | None) -> Evaluation:
        """Mean loss per utterance of `rows`, and with a vocabulary errors; of the base alone without an adapter."""
        if adapter is not None:
            adapter.eval()
        loss, score = 0.0, Score()
        by_duration = sorted(rows, key=lambda row: self.speech.durations[row])
        # evaluation keeps no gradients, so it can take more rows at once than a training step
        size = 4 * self.config.batch_size
        for start in range(0, len(by_duration), size):
            batch = by_duration[start : start + size]
            encodings, lengths = self.speech.encode(batch)
            tokens, num_tokens = pad_tokens([self.speech.tokens[row] for row in batch], encodings.device)
            with products_in(self.config.precision, encodings.device):
                adapted = encodings if adapter is None else adapter(encodings)
            log_probs = self.model.head(adapted, lengths, self.after_layer)
            loss += float(self.criterion(log_probs, lengths, tokens, num_tokens).sum())
            if vocabulary is not None:
                transcripts = [self.speech.transcripts[row] for row in batch]
                score += score_decoded(greedy(log_probs, lengths), transcripts, vocabulary)
        return Evaluation(loss / len(rows), score)


def evaluate_adapter(
    model: AcousticModel,
    adapter: Adapter | None,
    speech: UserSpeech,
    vocabulary: Vocabulary | None,
    config: AdaptConfig,
    after_layer: int,
    criterion: Criterion = ctc_losses,
) -> Evaluation:
    """Mean loss on the held-out utterances, and with a vocabulary errors; of the base alone without an adapter."""
    return _Training(model, speech, config, after_layer, criterion).evaluate(adapter, speech.held_out, vocabulary)
