"""The training of one user's adapters as a plain loop: the reference that stacks are tested and timed against.

Shapes: B utterances, T encoding frames of the longest, D width of the encodings.
"""

import copy
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ds2ray.batching.batches import epoch_batches, spread_order
from ds2ray.config import AdaptConfig, OptimizerType, Schedule
from ds2ray.decoding.greedy import Greedy
from ds2ray.decoding.scoring import score_decoded
from ds2ray.errors import TrainingDivergedError
from ds2ray.metrics import Score
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.text import Vocabulary
from ds2ray.training.adapters.judging.results import AdapterFit, Evaluation
from ds2ray.training.adapters.judging.split import Part, part_seed
from ds2ray.training.adapters.speech import UserSpeech
from ds2ray.training.adapters.stack.learners import WARMUP_FRACTION, is_judged
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

EncodeRows = Callable[[Sequence[int]], tuple[Tensor, Tensor]]
"""Utterance indices → padded encodings [B, T, D] and their lengths int64 [B]."""

EVALUATED_BATCHES = 4
"""Training batches that are evaluated at once: evaluation keeps no gradients."""


def fit_plainly(
    model: AcousticModel,
    adapter: Adapter,
    speech: UserSpeech,
    vocabulary: Vocabulary,
    config: AdaptConfig,
    after_layer: int,
    encode: EncodeRows | None = None,
) -> AdapterFit:
    """Train an adapter for each part of the speech; the first is the user's, the further ones are judged with it.

    Args:
        adapter: fresh, for the first part; trained in place.
        encode: gives the encodings of some utterances in place of `speech.frames`, whose lengths count even then.

    Raises:
        TrainingDivergedError: no step of an epoch had a finite loss and gradient.
    """
    model.freeze_base_model()
    model.train()
    loop = _Loop(model, speech, vocabulary, config, after_layer, encode or _padded(speech.frames))
    learners = [
        _Learner(adapter if number == 0 else copy.deepcopy(adapter), part, part_seed(speech.seed, number), loop)
        for number, part in enumerate(speech.parts)
    ]
    judges = [learner for learner in learners if learner.part.held_out]
    before = loop.evaluate(None, speech.held_out, decode=True)
    best_loss, best_epoch, epoch = before.loss, -1, 0
    for epoch in range(config.num_epochs):
        for learner in learners:
            learner.run_epoch(epoch)
        if learners[0].bad_in_epoch == learners[0].steps_per_epoch:
            raise TrainingDivergedError(f"no step of epoch {epoch + 1} had a finite loss and gradient")
        loss = loop.held_out(judges, decode=False).loss if is_judged(epoch, config) else math.inf
        if loss < best_loss:
            best_loss, best_epoch = loss, epoch
            for learner in learners:
                learner.best = copy.deepcopy(learner.adapter.state_dict())
        if epoch - best_epoch >= config.patience_epochs:
            break
    for learner in learners:
        learner.adapter.load_state_dict(learner.best)
    after = loop.held_out(judges, decode=True)
    bad_steps = learners[0].bad_steps
    return AdapterFit(learners[0].best, epoch + 1, bad_steps, before.loss, after.loss, before.score, after.score)


class _Learner:
    """The adapter of one part, its optimizer and its best weights."""

    def __init__(self, adapter: Adapter, part: Part, seed: int, loop: "_Loop") -> None:
        config = loop.config
        self.adapter, self.part, self.seed, self.loop = adapter, part, seed, loop
        self.optimizer = build_optimizer(
            adapter.parameters(), OptimizerType.adamw, config.learning_rate, config.weight_decay
        )
        steps, most = math.ceil(len(part.train) / config.batch_size), config.unlabelled_share
        heard_steps = min(math.ceil(len(part.heard) / config.batch_size), int(steps * most / (1 - most)))
        self.steps_per_epoch = steps + heard_steps
        self.heard_share = heard_steps / self.steps_per_epoch
        self.share = config.further_share if part.further else 0.0
        self.bad_steps = self.bad_in_epoch = 0
        self.best = copy.deepcopy(adapter.state_dict())

    def run_epoch(self, epoch: int) -> None:
        config = self.loop.config
        self.adapter.train()
        self.bad_in_epoch = 0
        for step in range(epoch * self.steps_per_epoch, (epoch + 1) * self.steps_per_epoch):
            steps = self.steps_per_epoch * config.num_epochs
            rate = learning_rate_at(step, steps, config.learning_rate, Schedule.one_cycle, WARMUP_FRACTION)
            set_learning_rate(self.optimizer, rate)
            torch.manual_seed(derive_seed(self.seed, step))
            self.bad_in_epoch += not self.loop.step(self.adapter, self.optimizer, self._rows(step))
        self.bad_steps += self.bad_in_epoch

    def _rows(self, step: int) -> list[int]:
        """Utterances, or in a share of the steps heard passages, and in a share of the others half as many further
        recordings; each in passes of their own."""
        size = self.loop.config.batch_size
        heard = int(step * self.heard_share)
        if int((step + 1) * self.heard_share) > heard:
            return self._batch(self.part.heard, size, derive_seed(self.seed, "heard"), heard)
        step -= heard
        before = int(step * self.share)
        if int((step + 1) * self.share) > before:
            return self._batch(self.part.further, max(1, size // 2), derive_seed(self.seed, "further"), before)
        return self._batch(self.part.train, size, self.seed, step - before)

    def _batch(self, rows: Sequence[int], size: int, seed: int, number: int) -> list[int]:
        lengths = [len(self.loop.speech.frames[row]) for row in rows]
        count = math.ceil(len(rows) / size)
        epoch, place = divmod(number, count)
        batches = epoch_batches(lengths, size, 1, seed, epoch)
        batches.sort(key=lambda batch: max(lengths[index] for index in batch))
        return [rows[index] for index in batches[spread_order(count, epoch * count)[place]]]


class _Loop:
    """What all steps of a user's training share."""

    def __init__(
        self,
        model: AcousticModel,
        speech: UserSpeech,
        vocabulary: Vocabulary,
        config: AdaptConfig,
        after_layer: int,
        encode: EncodeRows,
    ) -> None:
        self.model, self.speech, self.vocabulary, self.config = model, speech, vocabulary, config
        self.after_layer, self.encode = after_layer, encode

    def step(self, adapter: Adapter, optimizer: torch.optim.Optimizer, rows: Sequence[int]) -> bool:
        """One optimizer step; False, and nothing changed, where loss or gradient is not finite."""
        encodings, lengths = self.encode(rows)
        log_probs, losses = self._log_probs_and_losses(adapter, encodings, lengths, rows)
        if self.config.kl_weight:
            with torch.no_grad():
                of_base = self.model.head(encodings, lengths, self.after_layer)
            losses = losses + self.config.kl_weight * kl_divergences(log_probs, of_base, lengths)
        optimizer.zero_grad(set_to_none=True)
        weights = losses.new_tensor([self.speech.weights.get(row, 1.0) for row in rows])
        (weights * losses).mean().backward()
        finite = bool(clip_gradients(adapter.parameters(), self.config.max_grad_norm).isfinite())
        if finite:
            optimizer.step()
        return finite

    def held_out(self, judges: Sequence[_Learner], decode: bool) -> Evaluation:
        """Mean loss, and with `decode` errors, of each judge on the utterances that it has not learned from."""
        loss, score = 0.0, Score()
        for judge in judges:
            own = self.evaluate(judge.adapter, judge.part.held_out, decode)
            loss, score = loss + own.loss * len(judge.part.held_out), score + own.score
        return Evaluation(loss / len(self.speech.held_out), score)

    @torch.no_grad()
    def evaluate(self, adapter: Adapter | None, rows: Sequence[int], decode: bool) -> Evaluation:
        """Mean loss per utterance, and with `decode` errors; of the base alone without an adapter."""
        if adapter is not None:
            adapter.eval()
        loss, score = 0.0, Score()
        by_length = sorted(rows, key=lambda row: len(self.speech.frames[row]))
        size = EVALUATED_BATCHES * self.config.batch_size
        for start in range(0, len(by_length), size):
            batch = by_length[start : start + size]
            encodings, lengths = self.encode(batch)
            log_probs, losses = self._log_probs_and_losses(adapter, encodings, lengths, batch)
            loss += float(losses.sum())
            if decode:
                transcripts = [self.speech.transcripts[row] for row in batch]
                score += score_decoded(Greedy().decode(log_probs, lengths), transcripts, self.vocabulary)
        return Evaluation(loss / len(rows), score)

    def _log_probs_and_losses(
        self, adapter: Adapter | None, encodings: Tensor, lengths: Tensor, rows: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        with products_in(self.config.precision, encodings.device):
            adapted = encodings if adapter is None else adapter(encodings)
        log_probs = self.model.head(adapted, lengths, self.after_layer)
        tokens = pad_tokens([self.speech.tokens[row] for row in rows], encodings.device)
        return log_probs, ctc_losses(log_probs, lengths, *tokens)


def pad_tokens(tokens: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token rows int64 [L] → padded [B, L] and their numbers [B], on `device`."""
    counts = torch.tensor([len(ids) for ids in tokens], device=device)
    return nn.utils.rnn.pad_sequence(list(tokens), batch_first=True).to(device), counts


def _padded(frames: Sequence[Tensor]) -> EncodeRows:
    def encode(rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        own = [frames[row] for row in rows]
        lengths = torch.tensor([len(part) for part in own], device=own[0].device)
        return nn.utils.rnn.pad_sequence(own, batch_first=True).float(), lengths

    return encode
