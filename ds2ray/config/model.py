"""The shape of a base."""

from dataclasses import dataclass
from enum import Enum

from ds2ray.config.fields import require, setting


class RnnType(Enum):
    gru = "gru"
    lstm = "lstm"
    rnn = "rnn"


@dataclass(kw_only=True)
class ModelConfig:
    """The shape of a DeepSpeech2. Part of the base's fingerprint."""

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
