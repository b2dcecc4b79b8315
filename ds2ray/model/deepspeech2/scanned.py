"""A recurrence as a scan, for `torch.export`, which unrolls torch's own recurrences to the length that it is shown.

Shapes: B utterances, T frames, H hidden width. Gates stand in torch's order.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan

State = tuple[Tensor, ...]


def scanned(rnn: nn.RNNBase, x: Tensor) -> Tensor:
    """The outputs of a one-layer, one-direction `nn.GRU`, `nn.LSTM` or `nn.RNN` over x [B, T, input]: [B, T, H]."""
    input_weight, weight, input_bias, bias = rnn.all_weights[0]
    projected = nn.functional.linear(x.transpose(0, 1), input_weight, input_bias)  # [T, B, gates × H]
    width = weight.shape[1]

    def gru(state: State, frame: Tensor) -> tuple[State, Tensor]:
        (hidden,) = state
        recurrent = nn.functional.linear(hidden, weight, bias)
        reset, update = (frame[:, : 2 * width] + recurrent[:, : 2 * width]).sigmoid().split(width, dim=1)
        new = torch.tanh(frame[:, 2 * width :] + reset * recurrent[:, 2 * width :])
        hidden = new + update * (hidden - new)
        return (hidden,), hidden.clone()

    def lstm(state: State, frame: Tensor) -> tuple[State, Tensor]:
        hidden, cell = state
        taken, kept, new, shown = (frame + nn.functional.linear(hidden, weight, bias)).split(width, dim=1)
        cell = kept.sigmoid() * cell + taken.sigmoid() * new.tanh()
        hidden = shown.sigmoid() * cell.tanh()
        return (hidden, cell), hidden.clone()

    def simple(state: State, frame: Tensor) -> tuple[State, Tensor]:
        (hidden,) = state
        hidden = torch.tanh(frame + nn.functional.linear(hidden, weight, bias))
        return (hidden,), hidden.clone()

    step, num_states = {nn.GRU: (gru, 1), nn.LSTM: (lstm, 2), nn.RNN: (simple, 1)}[type(rnn)]
    start = tuple(projected.new_zeros(projected.shape[1], width) for _ in range(num_states))
    return cast(Tensor, scan(step, start, projected)[1]).transpose(0, 1)
