"""The task of training a base: all data and settings that determine its weights."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from ds2ray.config import AudioConfig, ModelConfig, TrainConfig, audio_to_plain, model_to_plain, to_plain
from ds2ray.config.train import AS_IT_IS, DETAILS
from ds2ray.packs.references import row_groups_of
from ds2ray.tables.manifest import Utterance
from ds2ray.text import Vocabulary
from ds2ray.uris import excerpt_of

PATHS = {"manifest", "valid_manifest", "dataset_path", "transcripts_path", "vocab_path", "pretrained_model_path"}
OUTPUTS = {"output_dir", "resume", "adapter_save_dir", "adapter_name", "base_model_path", "keep_checkpoints"}
PACE = {
    "checkpoint_every_epochs",
    "checkpoint_every_s",
    "log_every_s",
    "loader_threads",
    "shard_cache_mb",
    "max_bad_steps",
    "data_page",
    "report_sample",
    "doctor",
    "doctor_s",
    "tracker",
    "tracker_uri",
}
"""Settings that leave the weights as they are. Of PATHS, the content of the files counts in their place."""


@dataclass(frozen=True)
class BaseTask:
    """The task of training a base: all data and settings that determine its weights.

    Attributes:
        initial_state: weights to fine-tune; None: from scratch.
        checkpoint_uri: folder that receives checkpoints.
        silence_rows: rows in which nobody speaks, as a share of those of speech.
    """

    model: ModelConfig
    audio: AudioConfig
    vocabulary: Vocabulary
    train: TrainConfig
    train_utterances: Sequence[Utterance]
    valid_utterances: Sequence[Utterance]
    checkpoint_uri: str
    initial_state: dict[str, torch.Tensor] | None = None
    silence_rows: float = 0.0

    @cached_property
    def fingerprint(self) -> str:
        """`settings_fingerprint` of the task, computed once, as it goes through all utterances."""
        return settings_fingerprint(self)


def settings_fingerprint(task: BaseTask) -> str:
    """sha256 over all that must be equal for training to go on from a checkpoint; the number of ranks may change.

    Row groups of packed speech are part of it, as batches are drawn out of windows of them; validation data is part of
    it where it decides which epoch's base is published.
    """
    train = {name: value for name, value in to_plain(task.train).items() if name not in PATHS | OUTPUTS | PACE}
    train["augment"] = _augment(train["augment"], task.silence_rows)
    described = [_model(task.model), audio_to_plain(task.audio), task.vocabulary.to_json(), train]
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for utterance in task.train_utterances:
        digest.update(_row(utterance))
    row_groups = row_groups_of(utterance.audio for utterance in task.train_utterances)
    if row_groups is not None:
        digest.update(b"row groups" + row_groups.tobytes())
    if task.train.patience_epochs:
        digest.update(b"validation")
        for utterance in task.valid_utterances:
            digest.update(_row(utterance))
    for name, tensor in sorted((task.initial_state or {}).items()):
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def _augment(augment: dict[str, Any], silence_rows: float) -> dict[str, Any]:
    """As it was before speech was changed into other recordings, where it is not: its checkpoints, likewise."""
    off = {name for name, value in AS_IT_IS.items() if augment[name] == value}
    off |= {name for name, share in DETAILS.items() if share in off}
    plain = {name: value for name, value in augment.items() if name not in off}
    return {**plain, "silence_rows": silence_rows} if silence_rows else plain


def _model(model: ModelConfig) -> dict[str, Any]:
    """The settings, of DeepSpeech2 without its name, so that checkpoints older than the name keep their fingerprint."""
    plain = model_to_plain(model)
    return {name: value for name, value in plain.items() if (name, value) != ("architecture", "deepspeech2")}


def _row(utterance: Utterance) -> bytes:
    cells = [utterance.utterance_id, utterance.duration_s, utterance.transcript]
    excerpt = excerpt_of(utterance.audio) if isinstance(utterance.audio, str) else None
    return json.dumps([*cells, str(excerpt)] if excerpt else cells).encode()
