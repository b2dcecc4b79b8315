"""A small member of every architecture and an adapter of every kind: the contracts of both seams are tested on them."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from ds2ray.config import (
    Activation,
    AdapterConfig,
    AdapterKind,
    Architecture,
    AudioConfig,
    ConformerConfig,
    ModelConfig,
    RnnType,
)
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.building import build_model

AUDIO = AudioConfig(num_mels=16)
NUM_CLASSES = 7

_DEEPSPEECH2 = ModelConfig(num_rnn_layers=2, rnn_hidden_dim=12, conv_channels=4, dropout=0.2)
MEMBERS: dict[str, ModelConfig] = {
    "deepspeech2": _DEEPSPEECH2,
    "conformer": ModelConfig(
        architecture=Architecture.conformer,
        conv_channels=4,
        dropout=0.2,
        conformer=ConformerConfig(num_layers=2, width=12, num_heads=2, ffn_dim=20, kernel_size=5),
    ),
    "deepspeech2-quarter": replace(_DEEPSPEECH2, time_stride=4),
    "deepspeech2-lstm-forward": replace(_DEEPSPEECH2, rnn_type=RnnType.lstm, bidirectional=False),
}

TOY_CONFORMER = ModelConfig(
    architecture=Architecture.conformer,
    conv_channels=8,
    dropout=0.0,
    conformer=ConformerConfig(num_layers=2, width=32, num_heads=2, ffn_dim=64, kernel_size=7),
)
"""Learns toy speech in seconds."""

ADAPTERS: dict[str, AdapterConfig] = {
    "mlp": AdapterConfig(hidden_dims=[8, 4], activation=Activation.gelu, dropout=0.3),
    "lhuc": AdapterConfig(kind=AdapterKind.lhuc),
}
"""Of every kind."""


def small_model(member: str, seed: int = 0) -> AcousticModel:
    """With random weights, the same every time, and statistics that are not those of a fresh model."""
    torch.manual_seed(seed)
    model = build_model(MEMBERS[member], AUDIO, NUM_CLASSES)
    generator = torch.Generator().manual_seed(seed)
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    return model


def features_of(lengths: list[int], seed: int = 1, num_frames: int | None = None) -> tuple[Tensor, Tensor]:
    """Random features [B, F, M], padded with zeros, and their lengths."""
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randn(length, AUDIO.num_mels, generator=generator) for length in lengths]
    padded = torch.zeros(len(rows), num_frames or max(lengths), AUDIO.num_mels)
    for row, values in enumerate(rows):
        padded[row, : len(values)] = values
    return padded, torch.tensor(lengths)


def randomise(module: nn.Module, seed: int = 3) -> None:
    """Give every parameter a random value, so that what starts as the identity does something."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
