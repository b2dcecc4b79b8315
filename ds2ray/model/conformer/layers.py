"""The layers of a Conformer: torchaudio's, made so that padding changes no row.

Shapes: B utterances, F feature frames, T = ⌈F/4⌉ encoding frames, M mel channels, D width of the model.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torchaudio.models.conformer import ConformerLayer

from ds2ray.model.masking import MaskedBatchNorm
from ds2ray.padding import frame_mask


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
