"""LHUC, the smallest kind of adapter: a scale and a shift per channel, a few KB."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from ds2ray.config import AdapterConfig, AdapterKind
from ds2ray.model.adapters.adapter import Adapter


class LHUCAdapter(Adapter):
    """An adapter x → 2σ(r) · x + s, with r and s per channel (learning hidden unit contributions, Swietojanski and
    Renals, 2014, there without the shift).

    r and s start at zero: a fresh adapter changes nothing, bit for bit. Scales stay between 0 and 2.
    """

    def __init__(self, input_dim: int) -> None:
        super().__init__()
        self.config = AdapterConfig(kind=AdapterKind.lhuc)
        self.log_odds = nn.Parameter(torch.zeros(input_dim))
        self.shift = nn.Parameter(torch.zeros(input_dim))

    @classmethod
    def from_config(cls, input_dim: int, config: AdapterConfig) -> Self:
        return cls(input_dim)

    def adapt(self, encodings: Tensor, scales: Sequence[Tensor]) -> Tensor:
        return encodings * (2 * torch.sigmoid(self.log_odds)) + self.shift
