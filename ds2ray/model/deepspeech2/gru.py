"""One direction of a GRU for training on CPUs, where torch spends most of the time on one small product per frame.

torch unrolls a GRU on CPUs, and autograd adds a gradient of the recurrent weights for every frame. Here the gradient
of these weights is one product over all frames, and the factors of the backward pass that do not depend on later
frames are computed for all frames at once.

Shapes: B utterances, T frames, H hidden width. Gates stand in torch's order: reset, update, new.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

WORTH_THREADS = 2**22
"""Products of a frame from which several threads are worth their waiting: about 0.1 ms of one thread."""


def gru(rnn: nn.GRU, x: Tensor) -> Tensor:
    """The outputs of a one-layer, one-direction `nn.GRU` over x [B, T, input]: [B, T, H], within rounding."""
    input_weight, weight, input_bias, bias = rnn.all_weights[0]
    projected = nn.functional.linear(x.transpose(0, 1), input_weight, input_bias)
    outputs: Tensor = _Recurrence.apply(projected, weight, bias)
    return outputs.transpose(0, 1)


@contextmanager
def _threads_for(products: int) -> Iterator[None]:
    """The threads for a frame of so many products of two numbers: one where it is small.

    Several would wait for each other longer than the frame takes.
    """
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1 if products < WORTH_THREADS else num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


class _Recurrence(torch.autograd.Function):
    """h ← n + z (h − n), with r, z = σ(x + U h + b) and n = tanh(x + r (U h + b)), from h = 0 (Cho et al., 2014)."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """projected [T, B, 3H], weight [3H, H], bias [3H] → outputs [T, B, H]."""
        num_frames, rows, gates = projected.shape
        width = gates // 3
        # the bias of the new gate alone is added frame by frame, as the reset gate multiplies it
        reset_update = projected[:, :, : 2 * width] + bias[: 2 * width]
        new = projected[:, :, 2 * width :].clone(memory_format=torch.contiguous_format)
        recurrent_new = torch.empty_like(new)
        outputs = torch.empty_like(new)
        recurrent = projected.new_empty(rows, gates)
        hidden = projected.new_zeros(rows, width)
        transposed, bias_of_new = weight.t(), bias[2 * width :]
        with _threads_for(rows * width * 3 * width):
            for frame in range(num_frames):
                torch.mm(hidden, transposed, out=recurrent)
                both = reset_update[frame].add_(recurrent[:, : 2 * width]).sigmoid_()
                within = torch.add(recurrent[:, 2 * width :], bias_of_new, out=recurrent_new[frame])
                candidate = new[frame].addcmul_(both[:, :width], within).tanh_()
                hidden = torch.lerp(candidate, hidden, both[:, width:], out=outputs[frame])
        ctx.save_for_backward(weight, reset_update, new, recurrent_new, outputs)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        weight, reset_update, new, recurrent_new, outputs = ctx.saved_tensors
        num_frames, rows, width = outputs.shape
        reset, update = reset_update.split(width, dim=2)
        before = torch.cat([torch.zeros_like(outputs[:1]), outputs[:-1]])
        # factors from the gradient of an output to those of the three gates' inputs: [T, B, 3, H]
        factors = outputs.new_empty(num_frames, rows, 3, width)
        of_new = (1 - update) * (1 - new.square())
        torch.mul(of_new * recurrent_new, reset * (1 - reset), out=factors[:, :, 0])
        torch.mul(before - new, update * (1 - update), out=factors[:, :, 1])
        torch.mul(of_new, reset, out=factors[:, :, 2])
        of_outputs = gradients[0].clone(memory_format=torch.contiguous_format)
        carried = torch.zeros_like(of_outputs[0])
        with _threads_for(rows * width * 3 * width):
            for frame in range(num_frames - 1, -1, -1):
                of_output = of_outputs[frame].add_(carried)
                of_gates = factors[frame].mul_(of_output.unsqueeze(1)).view(rows, 3 * width)
                torch.mul(of_output, update[frame], out=carried)
                carried.addmm_(of_gates, weight)
        of_weight = of_bias = None
        if any(ctx.needs_input_grad[1:]):  # a frozen recurrence passes gradients on and has none of its own
            of_recurrent = factors.view(num_frames * rows, 3 * width)
            of_weight = of_recurrent.t() @ before.reshape(num_frames * rows, width)
            of_bias = of_recurrent.sum(0)
        # the input's part of the new gate is not multiplied by the reset gate; its recurrent part is
        of_projected = factors
        torch.mul(of_outputs, of_new, out=of_projected[:, :, 2])
        return of_projected.view(num_frames, rows, 3 * width), of_weight, of_bias
