"""A user's adapter: a small residual MLP that starts as the identity."""

import itertools
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ds2ray.config import Activation, AdapterConfig

ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    Activation.relu: nn.ReLU,
    Activation.gelu: nn.GELU,
    Activation.silu: nn.SiLU,
    Activation.tanh: nn.Tanh,
}


def dropout_scale(shape: tuple[int, ...], p: float, generator: torch.Generator | None = None) -> Tensor:
    """What activations are multiplied with: 0 with probability `p`, else 1/(1-p).

    Drawn on the CPU, from torch's own generator unless one is given, so that every device draws the same.
    """
    return (torch.rand(shape, generator=generator) >= p).float() / (1 - p)


class UtteranceDropout(nn.Module):
    """Dropout of whole channels of an utterance: one draw per row and channel, the same for all its frames.

    The draws do not depend on how far a batch is padded, so that a user trained alone and one trained in a stack see
    the same (Gal and Ghahramani, 2016, use it for recurrent networks).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] → the same shape."""
        if not self.training or self.p == 0:
            return x
        return x * dropout_scale((x.shape[0], 1, x.shape[2]), self.p).to(x.device)


class MLPAdapter(nn.Module):
    """Layer norm → (Linear → activation → dropout) per hidden width → Linear back, added to the input.

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
        self.norm = nn.LayerNorm(input_dim)
        widths = [input_dim, *hidden_dims]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.output = nn.Linear(widths[-1], input_dim)
        self.activation_name = activation.value
        self.activation = ACTIVATIONS[activation]()
        self.dropout = UtteranceDropout(dropout)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    @classmethod
    def from_config(cls, input_dim: int, config: AdapterConfig) -> "MLPAdapter":
        """An adapter for encodings of width `input_dim`."""
        return cls(input_dim, config.hidden_dims, config.activation, config.dropout)

    def forward(self, encodings: Tensor) -> Tensor:
        """[…, input_dim] → […, input_dim]."""
        x = self.norm(encodings)
        for linear in self.hidden:
            x = self.dropout(self.activation(linear(x)))
        return cast(Tensor, encodings + self.output(x))
