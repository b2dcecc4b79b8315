"""DeepSpeech2 with an optional adapter between two of its layers.

Shapes: B utterances, F feature frames, T = ⌈F/2⌉ encoding frames, M mel channels (input_dim), D width of the
encodings, V size of the vocabulary with the blank (num_classes).
"""

from collections.abc import Iterator, Sequence
from typing import Self, cast

import torch
from torch import Tensor, nn

from ds2ray.config import LAST_LAYER, Activation, AdapterConfig, ModelConfig, RnnType, layers_before
from ds2ray.model.adapter import MLPAdapter
from ds2ray.model.layers import ConvFrontEnd, RecurrentLayer
from ds2ray.padding import frame_mask

ADAPTER_PREFIX = "adapter."


class DeepSpeech2(nn.Module):
    """Convolutions → recurrent layers → layer norm → linear → log-probabilities for CTC (blank id 0).

    The *trunk* is everything before the adapter, the *head* everything after it.

    Args:
        input_dim: mel channels.
        num_classes: size of the vocabulary with the blank.
        use_adapter: whether a fresh adapter is put in.
        adapter_hidden_dims: widths of its hidden layers.
        adapter_after_layer: after which recurrent layer it sits; 0 before the first, -1 after the last.
    """

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
        use_adapter: bool = False,
        adapter_hidden_dims: Sequence[int] = tuple(AdapterConfig().hidden_dims),
        adapter_activation: Activation = AdapterConfig.activation,
        adapter_dropout: float = AdapterConfig.dropout,
        adapter_after_layer: int = AdapterConfig.after_layer,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.input_dim, self.num_classes = input_dim, num_classes
        self.conv = ConvFrontEnd(input_dim, conv_channels)
        self.rnn_layers = nn.ModuleList()
        width = self.conv.output_dim
        for index in range(num_rnn_layers):
            layer = RecurrentLayer(width, rnn_hidden_dim, RnnType(rnn_type), bidirectional, norm=index > 0)
            self.rnn_layers.append(layer)
            width = layer.output_dim
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, num_classes)
        self.adapter: MLPAdapter | None = None
        self.adapter_enabled = True
        self.base_frozen = False
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
        )

    def layer_index(self, after_layer: int) -> int:
        """The number of recurrent layers before the adapter. Raises ConfigError where the model has fewer."""
        return layers_before(after_layer, len(self.rnn_layers))

    def encoding_dim(self, after_layer: int = LAST_LAYER) -> int:
        """D: the width of the encodings after a recurrent layer."""
        index = self.layer_index(after_layer)
        return self.conv.output_dim if index == 0 else cast(RecurrentLayer, self.rnn_layers[index - 1]).output_dim

    def add_adapter(self, config: AdapterConfig) -> None:
        """Put a fresh adapter in, in place of the one before."""
        self.adapter_layer = self.layer_index(config.after_layer)
        adapter = MLPAdapter.from_config(self.encoding_dim(config.after_layer), config)
        self.adapter = adapter.to(self.output.weight.device)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            features: float32 [B, F, M], zero after each row's end.
            lengths: int64 [B], feature frames.

        Returns:
            log-probabilities [B, T, V] and their lengths int64 [B].
        """
        encodings, lengths = self.trunk(features, lengths)
        if self.adapter is not None and self.adapter_enabled:
            encodings = self.adapter(encodings) * frame_mask(lengths, encodings.shape[1]).unsqueeze(2).float()
        return self.head(encodings, lengths), lengths

    def forward_rows(
        self, features: Tensor, lengths: Tensor, adapters: Sequence[tuple[MLPAdapter, int, Tensor]]
    ) -> tuple[Tensor, Tensor]:
        """As `forward` in evaluation mode, with other adapters for other rows, in one pass.

        Args:
            adapters: (adapter, its `after_layer`, int64 row indices); rows in none of them pass the base alone.
        """
        x, lengths = self.conv(features, lengths)
        for index in range(len(self.rnn_layers) + 1):
            if index > 0:
                x = self.rnn_layers[index - 1](x, lengths)
            for adapter, after_layer, rows in adapters:
                if self.layer_index(after_layer) == index:
                    x = x.index_copy(0, rows, adapter(x[rows]))
        return self.head(x, lengths, after_layer=LAST_LAYER), lengths

    def trunk(self, features: Tensor, lengths: Tensor, after_layer: int | None = None) -> tuple[Tensor, Tensor]:
        """Everything before the adapter (or `after_layer`): encodings [B, T, D] and their lengths [B]."""
        end = self.adapter_layer if after_layer is None else self.layer_index(after_layer)
        x, lengths = self.conv(features, lengths)
        for layer in self.rnn_layers[:end]:
            x = self.dropout(layer(x, lengths))
        return x, lengths

    def head(self, encodings: Tensor, lengths: Tensor, after_layer: int | None = None) -> Tensor:
        """Everything after the adapter (or `after_layer`): encodings [B, T, D] → log-probabilities [B, T, V].

        Frames after a row's end do not change those before it while the head is in evaluation mode.
        """
        start = self.adapter_layer if after_layer is None else self.layer_index(after_layer)
        x = encodings
        for layer in self.rnn_layers[start:]:
            x = self.dropout(layer(x, lengths))
        return torch.log_softmax(self.output(self.norm(x)).float(), dim=2)

    def freeze_base_model(self) -> None:
        """Only the adapter trains from here on: no gradient, no statistic and no dropout of the base changes."""
        self.base_frozen = True
        for parameter in self.base_parameters():
            parameter.requires_grad_(False)
        self.train(self.training)

    def unfreeze_base_model(self) -> None:
        """Undo `freeze_base_model`."""
        self.base_frozen = False
        for parameter in self.base_parameters():
            parameter.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As for any module, but a frozen base stays in evaluation mode."""
        super().train(mode)
        if self.base_frozen:
            for name, module in self.named_children():
                if name != "adapter":
                    module.eval()
            for module in self.rnn_layers.modules():
                # cuDNN computes gradients through a recurrence only in training mode; it has no dropout or
                # statistics of its own, so its mode changes nothing else
                if isinstance(module, nn.RNNBase):
                    module.train(mode)
        return self

    def base_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters of everything but the adapter."""
        return (p for name, p in self.named_parameters() if not name.startswith(ADAPTER_PREFIX))

    def base_state(self) -> dict[str, Tensor]:
        """The state dict of everything but the adapter."""
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith(ADAPTER_PREFIX)}

    def count_parameters(self, trainable_only: bool = False) -> dict[str, int]:
        """Numbers of parameters: of the `base`, of the `adapter`, and in `total`."""
        counts = {"base": 0, "adapter": 0}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad or not trainable_only:
                counts["adapter" if name.startswith(ADAPTER_PREFIX) else "base"] += parameter.numel()
        return {**counts, "total": sum(counts.values())}
