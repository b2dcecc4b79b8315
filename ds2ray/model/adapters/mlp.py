"""MLP, the default kind of adapter: a small residual network."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ds2ray.config import Activation, AdapterConfig
from ds2ray.model.adapters.adapter import Adapter, aligned, padded_by_user, with_aligned_gradient

ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    Activation.relu: nn.ReLU,
    Activation.gelu: nn.GELU,
    Activation.silu: nn.SiLU,
    Activation.tanh: nn.Tanh,
}

Linear = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(x, weight, bias) → x by the transposed weight, plus the bias."""


class MLPAdapter(Adapter):
    """An adapter: layer norm → (Linear → activation → dropout) per hidden width → Linear back, added to the input.

    The last layer starts at zero: a fresh adapter changes nothing, bit for bit.
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dims: Sequence[int],
        activation: Activation = AdapterConfig.activation,
        dropout: float = AdapterConfig.dropout,
    ) -> None:
        super().__init__()
        self.config = AdapterConfig(hidden_dims=list(hidden_dims), activation=activation, dropout=dropout)
        self.scale_widths = tuple(hidden_dims)
        self.norm = nn.LayerNorm(input_dim)
        widths = [input_dim, *hidden_dims]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.output = nn.Linear(widths[-1], input_dim)
        self.activation = ACTIVATIONS[activation]()
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    @classmethod
    def from_config(cls, input_dim: int, config: AdapterConfig) -> Self:
        return cls(input_dim, config.hidden_dims, config.activation, config.dropout)

    def adapt(self, encodings: Tensor, scales: Sequence[Tensor]) -> Tensor:
        x = self.norm(encodings)
        for layer, linear in enumerate(self.hidden):
            x = self.activation(linear(x))
            if scales:
                x = x * scales[layer]
        return cast(Tensor, encodings + self.output(x))

    def stacked(
        self,
        weights: Mapping[str, Tensor],
        frames: Tensor,
        users: Sequence[int],
        counts: Sequence[int],
        scales: Sequence[Tensor],
        at_once: bool,
    ) -> Tensor:
        """Each user's frames through the user's own adapter; see `Adapter.stacked`.

        Frames need no gradient, so the layer norm's scale and shift are folded into the first product: normalising then
        has no backward pass, and the gradients of scale and shift cost no product of their own.
        """
        product = self.by_padded_product if at_once else self.by_loop
        return product(weights, frames, users, counts, scales)

    def by_loop(
        self,
        weights: Mapping[str, Tensor],
        frames: Tensor,
        users: Sequence[int],
        counts: Sequence[int],
        scales: Sequence[Tensor],
    ) -> Tensor:
        """`stacked` with one product per user and layer."""
        # unbound once, since each indexing of a stack would cost a gradient of the stack's size
        own = {name: stack.unbind() for name, stack in weights.items()}
        parts = zip(*(tensor.split(list(counts)) for tensor in (_normalised(frames), *scales)), strict=True)
        outputs = []
        for user, (part, *own_scales) in zip(users, parts, strict=True):
            layers = self._folded({name: aligned(stack[user]) for name, stack in own.items()})
            output = self._through(layers, aligned(part), [aligned(scale) for scale in own_scales], functional.linear)
            outputs.append(with_aligned_gradient(output))
        return frames + torch.cat(outputs)

    def by_padded_product(
        self,
        weights: Mapping[str, Tensor],
        frames: Tensor,
        users: Sequence[int],
        counts: Sequence[int],
        scales: Sequence[Tensor],
    ) -> Tensor:
        """`stacked` with one batched product per layer, over users padded to the most frames."""
        rows = torch.tensor(users, device=frames.device)
        padded, present = padded_by_user(_normalised(frames), counts)
        layers = self._folded({name: stack[rows] for name, stack in weights.items()})
        own_scales = [padded_by_user(scale, counts)[0] for scale in scales]
        return frames + self._through(layers, padded, own_scales, _batched_linear)[present]

    def _folded(self, weights: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Weight […, out, in] and bias […, out] of each layer, with the layer norm's scale and shift in the first."""
        names = [*(f"hidden.{layer}" for layer in range(len(self.hidden))), "output"]
        layers = [(weights[f"{name}.weight"], weights[f"{name}.bias"]) for name in names]
        weight, bias = layers[0]
        scale, shift = weights["norm.weight"], weights["norm.bias"]
        layers[0] = (weight * scale.unsqueeze(-2), bias + (weight @ shift.unsqueeze(-1)).squeeze(-1))
        return layers

    def _through(
        self, layers: Sequence[tuple[Tensor, Tensor]], y: Tensor, scales: Sequence[Tensor], linear: Linear
    ) -> Tensor:
        """The output of the layers for normalised frames, with `linear` as the product of each."""
        *hidden, output = layers
        for layer, (weight, bias) in enumerate(hidden):
            y = self.activation(linear(y, weight, bias))
            if scales:
                y = y * scales[layer]
        return linear(y, *output)


def _normalised(frames: Tensor) -> Tensor:
    """Frames [N, D] with the mean 0 and the variance 1 each."""
    return functional.layer_norm(frames, frames.shape[1:])


def _batched_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [U, N, in], weight [U, out, in] and bias [U, out] → [U, N, out]."""
    return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))
