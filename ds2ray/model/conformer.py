"""A Conformer with CTC: torchaudio's layers, made so that padding changes no row.

Shapes: B utterances, F feature frames, T = ⌈F/4⌉ encoding frames, M mel channels, D width of the model, V size of the
vocabulary with the blank.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torchaudio.models import Conformer
from torchaudio.models.conformer import ConformerLayer

from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.masking import MaskedBatchNorm
from ds2ray.padding import frame_mask
from ds2ray.shapes.shape import Shape


class ConformerCTC(AcousticModel):
    """Two convolutions that each halve time and frequency → Conformer layers → linear (Gulati et al., 2020).

    As in torchaudio there is no encoding of positions: only the convolutions depend on the order of frames.

    Args:
        shape: gives the settings and the width at each place.
        num_classes: size of the vocabulary with the blank.
    """

    def __init__(self, shape: Shape, num_classes: int) -> None:
        super().__init__(shape, num_classes)
        settings, width = shape.model.conformer, shape.width_at(0)
        self.subsampling = Subsampling(shape.audio.num_mels, shape.model.conv_channels, width)
        layers = Conformer(
            input_dim=width,
            num_heads=settings.num_heads,
            ffn_dim=settings.ffn_dim,
            num_layers=settings.num_layers,
            depthwise_conv_kernel_size=settings.kernel_size,
            dropout=shape.model.dropout,
        ).conformer_layers
        self.layers = nn.ModuleList(ConformerStage(cast(ConformerLayer, layer)) for layer in layers)
        self.output = nn.Linear(width, num_classes)

    @property
    def stages(self) -> nn.ModuleList:
        return self.layers

    def stem(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x, lengths = self.subsampling(features, lengths)
        return x, lengths

    def classify(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.output(x))

    def in_bfloat16(self, module: nn.Module) -> bool:
        # not the linear layer inside an attention, a subclass: attention reads its weights and does not call it
        return type(module) in (nn.Conv1d, nn.Conv2d, nn.Linear)


class Subsampling(nn.Module):
    """Two convolutions of 3×3 with stride 2×2 and ReLU, then a linear layer: [B, F, M] → [B, T, D]."""

    def __init__(self, num_mels: int, channels: int, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList([
            nn.Conv2d(1, channels, 3, stride=2, padding=1),
            nn.Conv2d(channels, channels, 3, stride=2, padding=1),
        ])  # fmt: skip
        self.project = nn.Linear(channels * ((num_mels + 3) // 4), width)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """features [B, F, M], zero after each row's end, and lengths [B] → [B, T, D] and lengths [B]."""
        x = features.unsqueeze(1)
        for conv in self.convs:
            x, lengths = conv(x), (lengths + 1) // 2
            x = torch.relu(x) * frame_mask(lengths, x.shape[2])[:, None, :, None].to(x.dtype)
        x = self.project(x.transpose(1, 2).flatten(2))
        return x * frame_mask(lengths, x.shape[1]).unsqueeze(2).to(x.dtype), lengths


class ConformerStage(nn.Module):
    """A Conformer layer of torchaudio, with the same weights and the same result for rows without padding.

    torchaudio masks only the attention. Here the convolution, too, reads zeros after a row's end, and the statistics of
    batch norm leave padding out and are summed over all ranks.
    """

    def __init__(self, layer: ConformerLayer) -> None:
        super().__init__()
        self.layer = layer
        steps = layer.conv_module.sequential
        steps[3] = MaskedBatchNorm(cast(nn.BatchNorm1d, steps[3]).num_features)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """[B, T, D] and lengths [B] → [B, T, D]."""
        present = frame_mask(lengths, x.shape[1]).unsqueeze(2).float()
        layer, mask = self.layer, present.to(x.dtype)
        x = x * mask
        x = layer.ffn1(x) * 0.5 + x
        x = self._attend(x, present.squeeze(2) == 0) + x
        x = self._convolve(x, mask) + x
        x = layer.ffn2(x) * 0.5 + x
        return cast(Tensor, layer.final_layer_norm(x) * mask)

    def _attend(self, x: Tensor, padding: Tensor) -> Tensor:
        layer = self.layer
        y = layer.self_attn_layer_norm(x).transpose(0, 1)
        y, _ = layer.self_attn(y, y, y, key_padding_mask=padding, need_weights=False)
        return cast(Tensor, layer.self_attn_dropout(y).transpose(0, 1))

    def _convolve(self, x: Tensor, mask: Tensor) -> Tensor:
        module = self.layer.conv_module
        widen, gate, depthwise, norm, activation, narrow, dropout = module.sequential
        mask = mask.transpose(1, 2)
        y = module.layer_norm(x).transpose(1, 2)
        y = depthwise(gate(widen(y)) * mask) * mask
        y = narrow(activation(norm(y, mask, channel_dim=1)))
        return cast(Tensor, dropout(y).transpose(1, 2))
