"""The kind of an adapter and its settings."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from ds2ray.config.fields import Choice, from_plain, refuse_foreign, require, setting, to_plain

LAST_LAYER = -1
"""The value of `after_layer` for the place after the base's last layer."""


class AdapterKind(Choice):
    mlp = "mlp", "a small residual network between two layers"
    lhuc = "lhuc", "a scale and a shift per channel: a few KB"


class Activation(Enum):
    relu = "relu"
    gelu = "gelu"
    silu = "silu"
    tanh = "tanh"


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """The kind of a user's adapter and its settings."""

    kind: AdapterKind = setting(AdapterKind.mlp, "kind of the adapter")
    hidden_dims: list[int] = setting([256], "mlp: widths of one to three hidden layers")
    activation: Activation = setting(Activation.relu, "mlp: activation between the linear layers")
    dropout: float = setting(0.1, "mlp: dropout after each activation, in training")
    after_layer: int = setting(
        0, "place, by the recurrent or Conformer layers before it: 0 before the first, -1 after the last, far faster"
    )

    def __post_init__(self) -> None:
        dims = self.hidden_dims
        require(
            1 <= len(dims) <= 3 and min(dims) >= 1, "adapter.hidden_dims", dims, "one to three widths of at least 1"
        )
        require(0 <= self.dropout < 1, "adapter.dropout", self.dropout, "0 up to, but not including, 1")
        own = _OF_KIND[self.kind] | _SHARED
        refuse_foreign(self, "adapter", own, f"adapter.kind={self.kind.value}")
        require(self.after_layer >= LAST_LAYER, "adapter.after_layer", self.after_layer, "-1 (last), 0, 1, 2, …")


_SHARED = {"kind", "after_layer"}
_OF_KIND: dict[AdapterKind, set[str]] = {
    AdapterKind.mlp: {"hidden_dims", "activation", "dropout"},
    AdapterKind.lhuc: set(),
}
"""The settings of each kind, besides the shared ones."""


def adapter_to_plain(adapter: AdapterConfig) -> dict[str, Any]:
    """The kind's name and its own settings, JSON-ready, as pointers, files and fingerprints hold them.

    An MLP goes without the kind's name, so that the fingerprints of stores written before there were kinds stay equal.
    """
    plain = to_plain(adapter)
    if adapter.kind is AdapterKind.mlp:
        del plain["kind"]
        return plain
    return {name: plain[name] for name in plain if name in _OF_KIND[adapter.kind] | _SHARED}


def adapter_from_plain(values: dict[str, Any], where: str = "stored settings") -> AdapterConfig:
    """The inverse of `adapter_to_plain`; raises as `from_plain` does."""
    return from_plain(AdapterConfig, values, where)
