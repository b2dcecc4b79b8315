"""MLP, the default kind of adapter: a small residual network."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ds2ray.config import Activation, AdapterConfig
from ds2ray.model.adapters.adapter import Adapter, padded_by_user

ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    Activation.relu: nn.ReLU,
    Activation.gelu: nn.GELU,
    Activation.silu: nn.SiLU,
    Activation.tanh: nn.Tanh,
}


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
        normalised = functional.layer_norm(frames, frames.shape[1:])
        outputs = []
        start = 0
        for user, count in zip(users, counts, strict=True):
            part = slice(start, start + count)
            start += count
            y = normalised[part]
            for layer in range(len(self.hidden)):
                weight, bias = own[f"hidden.{layer}.weight"][user], own[f"hidden.{layer}.bias"][user]
                if layer == 0:
                    bias = bias + weight @ own["norm.bias"][user]
                    weight = weight * own["norm.weight"][user]
                y = self.activation(functional.linear(y, weight, bias))
                if scales:
                    y = y * scales[layer][part]
            outputs.append(functional.linear(y, own["output.weight"][user], own["output.bias"][user]))
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
        y, present = padded_by_user(functional.layer_norm(frames, frames.shape[1:]), counts)
        for layer in range(len(self.hidden)):
            weight, bias = weights[f"hidden.{layer}.weight"][rows], weights[f"hidden.{layer}.bias"][rows]
            if layer == 0:
                bias = bias + (weight @ weights["norm.bias"][rows].unsqueeze(2)).squeeze(2)
                weight = weight * weights["norm.weight"][rows].unsqueeze(1)
            y = self.activation(torch.baddbmm(bias.unsqueeze(1), y, weight.transpose(1, 2)))
            if scales:
                y = y * padded_by_user(scales[layer], counts)[0]
        weight, bias = weights["output.weight"][rows], weights["output.bias"][rows]
        y = torch.baddbmm(bias.unsqueeze(1), y, weight.transpose(1, 2))
        return frames + y[present]
