"""The kinds of adapters."""

from ds2ray.config import AdapterConfig, AdapterKind
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.model.adapters.lhuc import LHUCAdapter
from ds2ray.model.adapters.mlp import MLPAdapter

KINDS: dict[AdapterKind, type[Adapter]] = {AdapterKind.mlp: MLPAdapter, AdapterKind.lhuc: LHUCAdapter}


def build_adapter(input_dim: int, config: AdapterConfig) -> Adapter:
    """A fresh adapter for encodings of width `input_dim`, with random weights from torch's generator."""
    return KINDS[config.kind].from_config(input_dim, config)
