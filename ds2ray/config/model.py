"""The architecture of a base and its settings."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from ds2ray.config.fields import Choice, from_plain, require, setting, to_plain


class Architecture(Choice):
    deepspeech2 = "deepspeech2", "convolutions and recurrent layers"


class RnnType(Enum):
    gru = "gru"
    lstm = "lstm"
    rnn = "rnn"


@dataclass(kw_only=True)
class ModelConfig:
    """The architecture of a base and its settings. Part of the base's fingerprint."""

    architecture: Architecture = setting(Architecture.deepspeech2, "what the base is made of")
    conv_channels: int = setting(32, "channels of both convolutions")
    rnn_type: RnnType = setting(RnnType.gru, "the recurrent cell")
    num_rnn_layers: int = setting(3, "recurrent layers")
    rnn_hidden_dim: int = setting(512, "width of one direction")
    bidirectional: bool = setting(True, "read the utterance in both directions")
    dropout: float = setting(0.1, "after each recurrent layer, while the base trains")

    def __post_init__(self) -> None:
        for name in ("conv_channels", "num_rnn_layers", "rnn_hidden_dim"):
            require(getattr(self, name) >= 1, f"model.{name}", getattr(self, name), "at least 1")
        require(0 <= self.dropout < 1, "model.dropout", self.dropout, "0 up to, but not including, 1")


def model_to_plain(model: ModelConfig) -> dict[str, Any]:
    """The architecture's name and its own settings, JSON-ready: what base.json and model.pt hold."""
    return to_plain(model)


def model_from_plain(values: dict[str, Any]) -> ModelConfig:
    """The inverse of `model_to_plain`; without a name the architecture is DeepSpeech2, as before there were others.

    Raises:
        ConfigError, TypeError, ValueError: the values describe no model.
    """
    return from_plain(ModelConfig, values)
