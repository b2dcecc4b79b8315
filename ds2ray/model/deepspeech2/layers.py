"""The layers of DeepSpeech2, made so that padding changes no row.

Shapes: B utterances, F feature frames, T encoding frames (one for each `time_stride` of F), M mel channels, C
convolution channels, D width of a recurrent layer's output. Whatever lies after a row's end is zero between layers.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from ds2ray.config import RnnType
from ds2ray.model.deepspeech2.gru import gru
from ds2ray.model.deepspeech2.scanned import scanned
from ds2ray.model.masking import MaskedBatchNorm
from ds2ray.padding import frame_mask

MEL_PADDING = 20
"""Zeros below and above the mel channels: half of the first convolution's 41."""

RNN_CLASSES: dict[RnnType, Callable[..., nn.RNNBase]] = {
    RnnType.gru: nn.GRU,
    RnnType.lstm: nn.LSTM,
    RnnType.rnn: nn.RNN,
}


class ConvFrontEnd(nn.Module):
    """Two convolutions over (frequency, time): C × 41×11 with stride 2×2, then C × 21×11 with stride 2×1, or 2×2 where
    the time stride of both is 4.

    Each is followed by masked batch norm and Hardtanh(0, 20), as in Deep Speech 2 (Amodei et al., 2016).
    """

    def __init__(self, num_mels: int, channels: int, time_stride: int = 2) -> None:
        super().__init__()
        self.time_strides = (2, time_stride // 2)
        self.convs = nn.ModuleList([
            nn.Conv2d(1, channels, (41, 11), stride=(2, self.time_strides[0]), padding=(0, 5), bias=False),
            nn.Conv2d(channels, channels, (21, 11), stride=(2, self.time_strides[1]), padding=(10, 5), bias=False),
        ])  # fmt: skip
        self.norms = nn.ModuleList([MaskedBatchNorm(channels), MaskedBatchNorm(channels)])
        self.activation = nn.Hardtanh(0.0, 20.0)
        self.output_dim = channels * ((num_mels + 3) // 4)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """features [B, F, M] and lengths [B] → [B, T, output_dim] and lengths [B]."""
        # padded here: with 19 to 22 channels and its own padding, oneDNN 3.10's weight gradient writes out of bounds
        x = nn.functional.pad(features.transpose(1, 2), (0, 0, MEL_PADDING, MEL_PADDING)).unsqueeze(1)
        for conv, norm, stride in zip(self.convs, self.norms, self.time_strides, strict=True):
            x = conv(x)
            lengths = (lengths + stride - 1) // stride
            mask = frame_mask(lengths, x.shape[3])[:, None, None, :].to(x.dtype)
            x = self.activation(norm(x * mask, mask, channel_dim=1)) * mask
        return x.flatten(1, 2).transpose(1, 2), lengths


class RecurrentLayer(nn.Module):
    """Masked batch norm (but for the first layer), then one recurrence per direction, then dropout.

    The backward direction reads each row reversed by its own length, so that neither direction ever sees
    padding before speech: the result of packed sequences at the speed of unpacked ones.
    """

    def __init__(
        self, input_dim: int, hidden_dim: int, rnn_type: RnnType, bidirectional: bool, norm: bool, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.norm = MaskedBatchNorm(input_dim) if norm else None
        rnn = RNN_CLASSES[rnn_type]
        self.forward_rnn = rnn(input_dim, hidden_dim, batch_first=True)
        self.backward_rnn = rnn(input_dim, hidden_dim, batch_first=True) if bidirectional else None
        self.dropout = nn.Dropout(dropout)
        self.output_dim = hidden_dim * (2 if bidirectional else 1)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """[B, T, input_dim] and lengths [B] → [B, T, output_dim]."""
        mask = frame_mask(lengths, x.shape[1]).unsqueeze(2).to(x.dtype)
        if self.norm is not None:
            x = self.norm(x, mask, channel_dim=2)
        output = recur(self.forward_rnn, x)
        if self.backward_rnn is not None:
            order = reversed_order(lengths, x.shape[1])
            backward = take_frames(recur(self.backward_rnn, take_frames(x, order)), order)
            output = torch.cat([output, backward], dim=2)
        return cast(Tensor, self.dropout(output * mask))


def recur(rnn: nn.RNNBase, x: Tensor) -> Tensor:
    """The outputs [B, T, hidden] of one recurrence over x [B, T, D], computed in the type of its weights.

    Autocast is off here: it runs cuDNN's recurrences in float16, whatever type it is given
    (aten/src/ATen/cudnn/AutocastRNN.cpp), where small gradients vanish, and on CPUs casts the weights at every frame.
    """
    if torch.compiler.is_exporting():
        return scanned(rnn, x)
    with torch.autocast(x.device.type, enabled=False):
        # frames one after another in memory: otherwise torch multiplies row by row, each with a copy of frozen weights
        x = x.transpose(0, 1).to(next(rnn.parameters()).dtype).contiguous().transpose(0, 1)
        if isinstance(rnn, nn.GRU) and x.device.type == "cpu" and _has_gradients(rnn, x):
            return gru(rnn, x)
        return cast(Tensor, rnn(x)[0])


def _has_gradients(rnn: nn.RNNBase, x: Tensor) -> bool:
    """Whether a backward pass follows: to the weights, or through frozen ones to an adapter before them."""
    return torch.is_grad_enabled() and (x.requires_grad or any(weight.requires_grad for weight in rnn.parameters()))


def reversed_order(lengths: Tensor, num_frames: int) -> Tensor:
    """int64 [B, num_frames]: the frame order that reverses each row within its own length; padding stays in place."""
    position = torch.arange(num_frames, device=lengths.device).expand(lengths.shape[0], num_frames)
    return torch.where(position < lengths[:, None], lengths[:, None] - 1 - position, position)


def take_frames(x: Tensor, order: Tensor) -> Tensor:
    """x [B, T, D] with the frames of each row in the order int64 [B, T]."""
    rows = torch.arange(x.shape[0], device=x.device)[:, None]
    return x[rows, order]
