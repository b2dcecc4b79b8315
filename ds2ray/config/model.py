"""The architecture of a base and its settings."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ds2ray.config.fields import Choice, from_plain, refuse_foreign, require, setting, to_plain


class Architecture(Choice):
    deepspeech2 = "deepspeech2", "convolutions and recurrent layers"
    conformer = "conformer", "convolutions and Conformer layers, which compare each frame with all others"


class RnnType(Enum):
    gru = "gru"
    lstm = "lstm"
    rnn = "rnn"


@dataclass(frozen=True, kw_only=True)
class ConformerConfig:
    """The Conformer layers of a base."""

    num_layers: int = setting(8, "Conformer layers")
    width: int = setting(256, "width of the encodings between layers")
    num_heads: int = setting(4, "heads of each attention; they divide the width")
    ffn_dim: int = setting(1024, "width inside the feed-forward parts")
    kernel_size: int = setting(31, "frames that a layer's convolution sees: an odd number")

    def __post_init__(self) -> None:
        for name in ("num_layers", "width", "num_heads", "ffn_dim", "kernel_size"):
            require(getattr(self, name) >= 1, f"model.conformer.{name}", getattr(self, name), "at least 1")
        fits = self.width % self.num_heads == 0
        require(fits, "model.conformer.num_heads", self.num_heads, f"a divisor of model.conformer.width={self.width}")
        require(self.kernel_size % 2 == 1, "model.conformer.kernel_size", self.kernel_size, "an odd number")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The architecture of a base and its settings. Part of the base's fingerprint."""

    architecture: Architecture = setting(Architecture.deepspeech2, "architecture of the base")
    conv_channels: int = setting(32, "channels of both convolutions")
    rnn_type: RnnType = setting(RnnType.gru, "deepspeech2: the recurrent cell")
    num_rnn_layers: int = setting(3, "deepspeech2: recurrent layers")
    rnn_hidden_dim: int = setting(512, "deepspeech2: width of one direction")
    bidirectional: bool = setting(True, "deepspeech2: read the utterance in both directions")
    time_stride: int = setting(
        2, "deepspeech2: feature frames per frame of the recurrent layers, 2 or 4: half of the arithmetic with 4"
    )
    dropout: float = setting(0.1, "dropout after each layer, while the base trains")
    conformer: ConformerConfig = field(default_factory=ConformerConfig)

    def __post_init__(self) -> None:
        for name in ("conv_channels", "num_rnn_layers", "rnn_hidden_dim"):
            require(getattr(self, name) >= 1, f"model.{name}", getattr(self, name), "at least 1")
        chosen = f"model.architecture={self.architecture.value}"
        refuse_foreign(self, "model", _OF_ARCHITECTURE[self.architecture] | _SHARED, chosen)
        require(self.time_stride in (2, 4), "model.time_stride", self.time_stride, "2 or 4")
        require(0 <= self.dropout < 1, "model.dropout", self.dropout, "0 up to, but not including, 1")


_SHARED = {"architecture", "conv_channels", "dropout"}
_OF_ARCHITECTURE: dict[Architecture, set[str]] = {
    Architecture.deepspeech2: {"rnn_type", "num_rnn_layers", "rnn_hidden_dim", "bidirectional", "time_stride"},
    Architecture.conformer: {"conformer"},
}
"""The settings of each architecture, besides the shared ones."""


def model_to_plain(model: ModelConfig) -> dict[str, Any]:
    """The architecture's name and its own settings, JSON-ready, as base.json and model.pt hold them.

    As before there was a choice of the time stride where it is that of then, so that fingerprints stay.
    """
    own = _OF_ARCHITECTURE[model.architecture] | _SHARED
    if model.time_stride == ModelConfig.time_stride:
        own = own - {"time_stride"}
    return {name: value for name, value in to_plain(model).items() if name in own}


def model_from_plain(values: dict[str, Any], where: str = "stored settings") -> ModelConfig:
    """The inverse of `model_to_plain`; files without a name are older than the choice, and of DeepSpeech2.

    Raises as `from_plain` does.
    """
    return from_plain(ModelConfig, values, where)
