"""Full fine-tuning of a copy of the base per user: the ceiling that adapters are compared with.

Utterances, epochs, batches, schedule and early stopping are those of an adapter, but all weights train.

Shapes: F feature frames of an utterance, M mel channels.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from plain_loop import pad_tokens
from torch import Tensor

from benchmarks.speech import Speaker
from ds2ray.batching.batches import epoch_batches
from ds2ray.config import AdaptConfig, AugmentConfig, OptimizerType, Schedule
from ds2ray.decoding.decoder import Decoded
from ds2ray.decoding.greedy import Greedy
from ds2ray.decoding.scoring import score_decoded
from ds2ray.metrics import Score
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.masking import MaskedBatchNorm
from ds2ray.model.weights import Base
from ds2ray.sound.audio import read_waveform
from ds2ray.sound.features import spec_augment
from ds2ray.tables.manifest import Utterance
from ds2ray.text import Vocabulary
from ds2ray.training.adapters.stack.learners import WARMUP_FRACTION
from ds2ray.training.optim import build_optimizer, clip_gradients, ctc_losses, learning_rate_at, set_learning_rate
from ds2ray.training.seeds import derive_seed

MASKS = AugmentConfig(num_time_masks=1, max_time_mask_frames=10, num_mel_masks=1, max_mel_mask_channels=5)
"""SpecAugment with the settings of the demo's base."""

EVALUATION_ROWS = 32


@dataclass(frozen=True)
class FullRecipe:
    """Settings of full fine-tuning."""

    learning_rate: float
    update_statistics: bool = False  # whether batch norm goes on following the speech, or keeps the base's statistics
    masked: bool = False  # whether features are masked (SpecAugment)


@dataclass(frozen=True)
class Heard:
    """Utterances as log-mel features float32 [F, M], with their tokens and transcripts."""

    features: list[Tensor]
    tokens: list[Tensor]
    transcripts: list[str]

    def batch(self, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Padded features and their lengths."""
        lengths = torch.tensor([len(self.features[row]) for row in rows])
        return torch.nn.utils.rnn.pad_sequence([self.features[row] for row in rows], batch_first=True), lengths


@torch.no_grad()
def hear(base: Base, utterances: Sequence[Utterance]) -> Heard:
    """Read utterances and compute their features."""
    features = []
    for utterance in utterances:
        waveform = torch.from_numpy(np.ascontiguousarray(read_waveform(utterance.audio, base.audio.sample_rate_hz)))
        features.append(base.model.features(waveform.unsqueeze(0), torch.tensor([len(waveform)]))[0].squeeze(0))
    tokens = [torch.tensor(base.vocabulary.encode_known(u.transcript), dtype=torch.int64) for u in utterances]
    return Heard(features, tokens, [u.transcript for u in utterances])


def wer_of(model: AcousticModel, heard: Heard, vocabulary: Vocabulary) -> float:
    """WER of greedy decoding, in percent."""
    return 100 * sum(scores_of(model, heard, vocabulary), Score()).words.rate()


@torch.no_grad()
def scores_of(model: AcousticModel, heard: Heard, vocabulary: Vocabulary) -> tuple[Score, ...]:
    """Errors of greedy decoding, by utterance."""
    model.eval()
    decoded: dict[int, Decoded] = {}
    for rows in _rows_by_length(heard, range(len(heard.features))):
        decoded.update(zip(rows, Greedy().decode(*model(*heard.batch(rows))), strict=True))
    return tuple(
        score_decoded([decoded[row]], [transcript], vocabulary) for row, transcript in enumerate(heard.transcripts)
    )


def fine_tune(base: Base, user: Speaker, recipe: FullRecipe, adapt: AdaptConfig) -> tuple[AcousticModel, float]:
    """A copy of the base with the weights of its best held-out loss, and that loss."""
    train, held_out, seed = user.split(adapt)
    heard = hear(base, user.adapt)
    model = copy.deepcopy(base.model)
    model.adapter = None
    model.unfreeze_base_model()
    optimizer = build_optimizer(model.parameters(), OptimizerType.adamw, recipe.learning_rate, adapt.weight_decay)
    lengths = [len(heard.features[row]) for row in train]
    total_steps = math.ceil(len(train) / adapt.batch_size) * adapt.num_epochs
    best_loss, best_state, best_epoch = _loss(model, heard, held_out), copy.deepcopy(model.state_dict()), -1
    step = 0
    for epoch in range(adapt.num_epochs):
        model.train()
        if not recipe.update_statistics:
            for module in model.modules():
                if isinstance(module, MaskedBatchNorm):
                    module.eval()
        for batch in epoch_batches(lengths, adapt.batch_size, 1, seed, epoch):
            rate = learning_rate_at(step, total_steps, recipe.learning_rate, Schedule.one_cycle, WARMUP_FRACTION)
            set_learning_rate(optimizer, rate)
            torch.manual_seed(derive_seed(seed, step))
            step += 1
            rows = [train[place] for place in batch]
            features, num_frames = heard.batch(rows)
            if recipe.masked:
                features = spec_augment(features, num_frames, MASKS)
            log_probs, num_frames = model(features, num_frames)
            losses = ctc_losses(log_probs, num_frames, *pad_tokens([heard.tokens[r] for r in rows], log_probs.device))
            optimizer.zero_grad(set_to_none=True)
            losses.mean().backward()
            if clip_gradients(model.parameters(), adapt.max_grad_norm).isfinite():
                optimizer.step()
        loss = _loss(model, heard, held_out)
        if loss < best_loss:
            best_loss, best_state, best_epoch = loss, copy.deepcopy(model.state_dict()), epoch
        if epoch - best_epoch >= adapt.patience_epochs:
            break
    model.load_state_dict(best_state)
    return model.eval(), best_loss


@torch.no_grad()
def _loss(model: AcousticModel, heard: Heard, rows: Sequence[int]) -> float:
    model.eval()
    total = 0.0
    for batch in _rows_by_length(heard, rows):
        log_probs, lengths = model(*heard.batch(batch))
        tokens = pad_tokens([heard.tokens[row] for row in batch], log_probs.device)
        total += float(ctc_losses(log_probs, lengths, *tokens).sum())
    return total / len(rows)


def _rows_by_length(heard: Heard, rows: Sequence[int]) -> list[list[int]]:
    order = sorted(rows, key=lambda row: len(heard.features[row]))
    return [order[start : start + EVALUATION_ROWS] for start in range(0, len(order), EVALUATION_ROWS)]
