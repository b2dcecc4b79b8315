"""DeepSpeech2 with an optional adapter between two of its layers.

Shapes: B utterances, F feature frames, T = ⌈F/2⌉ or ⌈F/4⌉ encoding frames, M mel channels (input_dim), D width of the
encodings, V size of the vocabulary with the blank (num_classes).
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ds2ray.config import Activation, AdapterConfig, AudioConfig, ModelConfig, RnnType
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.deepspeech2.layers import ConvFrontEnd, RecurrentLayer
from ds2ray.shapes.deepspeech2 import DeepSpeech2Shape


class DeepSpeech2(AcousticModel):
    """Convolutions → recurrent layers → layer norm → linear → log-probabilities for CTC (blank id 0).

    As such it hears with the default audio settings; `build_model` gives it others.

    Args:
        input_dim: mel channels.
        num_classes: size of the vocabulary with the blank.
        use_adapter: whether a fresh adapter is put in.
        adapter_hidden_dims: widths of its hidden layers.
        adapter_after_layer: after which recurrent layer it sits; 0 before the first, -1 after the last.
    """

    bfloat16_in = (nn.Conv2d, nn.RNNBase)
    same_in_any_batch = True

    def __init__(
        self,
        input_dim: int,
        num_classes: int,
        rnn_type: RnnType | str = ModelConfig.rnn_type,
        num_rnn_layers: int = ModelConfig.num_rnn_layers,
        rnn_hidden_dim: int = ModelConfig.rnn_hidden_dim,
        bidirectional: bool = ModelConfig.bidirectional,
        dropout: float = ModelConfig.dropout,
        conv_channels: int = ModelConfig.conv_channels,
        time_stride: int = ModelConfig.time_stride,
        use_adapter: bool = False,
        adapter_hidden_dims: Sequence[int] = tuple(AdapterConfig().hidden_dims),
        adapter_activation: Activation = AdapterConfig.activation,
        adapter_dropout: float = AdapterConfig.dropout,
        adapter_after_layer: int = AdapterConfig.after_layer,
        device: torch.device | str | None = None,
    ) -> None:
        config = ModelConfig(
            rnn_type=RnnType(rnn_type),
            num_rnn_layers=num_rnn_layers,
            rnn_hidden_dim=rnn_hidden_dim,
            bidirectional=bidirectional,
            dropout=dropout,
            conv_channels=conv_channels,
            time_stride=time_stride,
        )
        super().__init__(DeepSpeech2Shape(config, AudioConfig(num_mels=input_dim)), num_classes)
        self.input_dim = input_dim
        self.conv = ConvFrontEnd(input_dim, conv_channels, time_stride)
        self.rnn_layers = nn.ModuleList()
        width = self.conv.output_dim
        for index in range(num_rnn_layers):
            layer = RecurrentLayer(width, rnn_hidden_dim, config.rnn_type, bidirectional, index > 0, dropout)
            self.rnn_layers.append(layer)
            width = layer.output_dim
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, num_classes)
        self.adapter_layer = self.layer_index(adapter_after_layer)
        if use_adapter:
            adapter = AdapterConfig(
                hidden_dims=list(adapter_hidden_dims),
                activation=adapter_activation,
                dropout=adapter_dropout,
                after_layer=adapter_after_layer,
            )
            self.add_adapter(adapter)
        self.to(device)

    @classmethod
    def from_config(cls, model: ModelConfig, input_dim: int, num_classes: int) -> "DeepSpeech2":
        """A base of the given shape, without an adapter."""
        return cls(
            input_dim=input_dim,
            num_classes=num_classes,
            rnn_type=model.rnn_type,
            num_rnn_layers=model.num_rnn_layers,
            rnn_hidden_dim=model.rnn_hidden_dim,
            bidirectional=model.bidirectional,
            dropout=model.dropout,
            conv_channels=model.conv_channels,
            time_stride=model.time_stride,
        )

    @property
    def stages(self) -> nn.ModuleList:
        return self.rnn_layers

    def stem(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x, lengths = self.conv(features, lengths)
        return x, lengths

    def classify(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.output(self.norm(x)))
