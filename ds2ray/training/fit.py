"""One user's adapter: the training loop, early stopping and held-out evaluation.

Shapes: B utterances, T encoding frames of the longest, D width of the encodings, V size of the vocabulary.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ds2ray.config import LAST_LAYER, AdaptConfig, OptimizerType, Schedule
from ds2ray.data.batches import epoch_batches
from ds2ray.errors import InputError, TrainingDivergedError
from ds2ray.model.adapter import MLPAdapter
from ds2ray.model.decode import greedy
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.text import Vocabulary
from ds2ray.training.evaluation import Score, score_decoded
from ds2ray.training.optim import build_optimizer, clip_gradients, ctc_losses, learning_rate_at, set_learning_rate
from ds2ray.training.seeds import derive_seed

WARMUP_FRACTION = 0.1
"""Share of an adapter's steps in which its learning rate rises."""

EncodeRows = Callable[[Sequence[int]], tuple[Tensor, Tensor]]
"""Utterance indices → padded encodings [B, T, D] and their lengths int64 [B], on the training device."""


@dataclass(frozen=True)
class UserSpeech:
    """What an adapter is trained on: encodings by utterance index, and what was said.

    Attributes:
        encode: gives the encodings of some of the utterances.
        durations: of each utterance, in any unit; utterances of like duration share a batch.
        tokens: int64 [L] per utterance.
        transcripts: per utterance.
        train, held_out: utterance indices; held-out ones serve early stopping and the gate, never the gradient.
    """

    encode: EncodeRows
    durations: Sequence[float]
    tokens: Sequence[Tensor]
    transcripts: Sequence[str]
    train: Sequence[int]
    held_out: Sequence[int]


@dataclass(frozen=True)
class AdapterFit:
    """A trained adapter and what it does on the held-out utterances, beside the base alone."""

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


def hold_out(num_utterances: int, fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Split utterance indices into (train, held out); at least one is on each side.

    Raises InputError for fewer than two utterances.
    """
    if num_utterances < 2:
        raise InputError(
            f"{num_utterances} utterances cannot be split into training and held-out speech; give 2 or more"
        )
    count = min(num_utterances - 1, max(1, round(num_utterances * fraction)))
    order = torch.randperm(num_utterances, generator=torch.Generator().manual_seed(seed)).tolist()
    return sorted(order[count:]), sorted(order[:count])


def pad_tokens(tokens: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token rows int64 [L] → padded [B, L] and their numbers [B], on `device`."""
    counts = torch.tensor([len(row) for row in tokens], device=device)
    return nn.utils.rnn.pad_sequence(list(tokens), batch_first=True).to(device), counts


def fit_adapter(
    model: DeepSpeech2,
    adapter: MLPAdapter,
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

    The same seed, speech and config give the same adapter, whatever ran before.

    Args:
        adapter: trained in place.
        optimizer: over the adapter's parameters; its rate is the schedule's highest. None: AdamW as `config` says.
        max_steps_per_epoch: 0 for all.

    Raises:
        TrainingDivergedError: no step of an epoch had a finite loss and gradient.
    """
    if optimizer is None:
        optimizer = build_optimizer(
            adapter.parameters(), OptimizerType.adamw, config.learning_rate, config.weight_decay
        )
    peak = optimizer.param_groups[0]["lr"]
    train_durations = [speech.durations[index] for index in speech.train]
    steps_per_epoch = math.ceil(len(speech.train) / config.batch_size)
    if max_steps_per_epoch:
        steps_per_epoch = min(steps_per_epoch, max_steps_per_epoch)
    total_steps = steps_per_epoch * config.num_epochs

    model.freeze_base_model()
    model.train()
    before = evaluate_adapter(model, None, speech, vocabulary, config.batch_size, after_layer, criterion)
    best_loss, best_state, best_epoch = before.loss, copy.deepcopy(adapter.state_dict()), -1
    bad_steps = epoch = 0
    for epoch in range(config.num_epochs):
        adapter.train()
        bad_before = bad_steps
        batches = epoch_batches(train_durations, config.batch_size, 1, seed, epoch)[:steps_per_epoch]
        for position, batch in enumerate(batches):
            step = epoch * steps_per_epoch + position
            rate = learning_rate_at(step, total_steps, peak, Schedule.one_cycle, WARMUP_FRACTION)
            set_learning_rate(optimizer, rate)
            torch.manual_seed(derive_seed(seed, step))
            rows = [speech.train[index] for index in batch]
            bad_steps += not _step(
                model, adapter, speech, rows, optimizer, criterion, after_layer, config.max_grad_norm
            )
        if bad_steps - bad_before == len(batches):
            raise TrainingDivergedError(
                f"no step of epoch {epoch + 1} had a finite loss and gradient; look for damaged audio, "
                f"or lower the learning rate ({peak:g})"
            )
        loss = held_out_loss(model, adapter, speech, config.batch_size, after_layer, criterion)
        if loss < best_loss:
            best_loss, best_state, best_epoch = loss, copy.deepcopy(adapter.state_dict()), epoch
        if epoch - best_epoch >= config.patience_epochs:
            break
    adapter.load_state_dict(best_state)
    after = evaluate_adapter(model, adapter, speech, vocabulary, config.batch_size, after_layer, criterion)
    return AdapterFit(best_state, epoch + 1, bad_steps, before.loss, after.loss, before.score, after.score)


def _step(
    model: DeepSpeech2,
    adapter: MLPAdapter,
    speech: UserSpeech,
    rows: Sequence[int],
    optimizer: torch.optim.Optimizer,
    criterion: Criterion,
    after_layer: int,
    max_grad_norm: float,
) -> bool:
    """One optimizer step; False, and nothing changed, where loss or gradient is not finite."""
    encodings, lengths = speech.encode(rows)
    tokens, num_tokens = pad_tokens([speech.tokens[row] for row in rows], encodings.device)
    log_probs = model.head(adapter(encodings), lengths, after_layer)
    optimizer.zero_grad(set_to_none=True)
    criterion(log_probs, lengths, tokens, num_tokens).mean().backward()
    finite = bool(clip_gradients(adapter.parameters(), max_grad_norm).isfinite())
    if finite:
        optimizer.step()
    return finite


@torch.no_grad()
def held_out_loss(
    model: DeepSpeech2,
    adapter: MLPAdapter | None,
    speech: UserSpeech,
    batch_size: int,
    after_layer: int,
    criterion: Criterion = ctc_losses,
) -> float:
    """Mean loss per held-out utterance."""
    return _evaluate(model, adapter, speech, batch_size, after_layer, criterion, decode=None).loss


@torch.no_grad()
def evaluate_adapter(
    model: DeepSpeech2,
    adapter: MLPAdapter | None,
    speech: UserSpeech,
    vocabulary: Vocabulary,
    batch_size: int,
    after_layer: int,
    criterion: Criterion = ctc_losses,
) -> Evaluation:
    """Loss and errors on the held-out utterances; of the base alone where `adapter` is None."""
    return _evaluate(model, adapter, speech, batch_size, after_layer, criterion, decode=vocabulary)


def _evaluate(
    model: DeepSpeech2,
    adapter: MLPAdapter | None,
    speech: UserSpeech,
    batch_size: int,
    after_layer: int,
    criterion: Criterion,
    decode: Vocabulary | None,
) -> Evaluation:
    if adapter is not None:
        adapter.eval()
    loss, score = 0.0, Score()
    rows_by_duration = sorted(speech.held_out, key=lambda row: speech.durations[row])
    # evaluation keeps no gradients, so it can take more rows at once than a training step
    for start in range(0, len(rows_by_duration), 4 * batch_size):
        rows = rows_by_duration[start : start + 4 * batch_size]
        encodings, lengths = speech.encode(rows)
        tokens, num_tokens = pad_tokens([speech.tokens[row] for row in rows], encodings.device)
        log_probs = model.head(encodings if adapter is None else adapter(encodings), lengths, after_layer)
        loss += float(criterion(log_probs, lengths, tokens, num_tokens).sum())
        if decode is not None:
            score += score_decoded(greedy(log_probs, lengths), [speech.transcripts[row] for row in rows], decode)
    return Evaluation(loss / len(speech.held_out), score)
