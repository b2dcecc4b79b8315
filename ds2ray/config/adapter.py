"""The shape of an adapter."""

from dataclasses import dataclass
from enum import Enum

from ds2ray.config.fields import require, setting
from ds2ray.errors import ConfigError

LAST_LAYER = -1
"""`after_layer` value that means: after the last recurrent layer."""


class Activation(Enum):
    relu = "relu"
    gelu = "gelu"
    silu = "silu"
    tanh = "tanh"


@dataclass(kw_only=True)
class AdapterConfig:
    """The shape of a user's adapter."""

    hidden_dims: list[int] = setting([256], "widths of one to three hidden layers")
    activation: Activation = setting(Activation.relu, "between the linear layers")
    dropout: float = setting(0.1, "after each activation, in training")
    after_layer: int = setting(
        0, "after which recurrent layer (1 = the first); 0 before the first, -1 the last: far faster"
    )

    def __post_init__(self) -> None:
        dims = self.hidden_dims
        require(
            1 <= len(dims) <= 3 and min(dims) >= 1, "adapter.hidden_dims", dims, "one to three widths of at least 1"
        )
        require(0 <= self.dropout < 1, "adapter.dropout", self.dropout, "0 up to, but not including, 1")
        require(self.after_layer >= LAST_LAYER, "adapter.after_layer", self.after_layer, "-1 (last), 0, 1, 2, …")


def layers_before(after_layer: int, num_layers: int) -> int:
    """The number of recurrent layers before an adapter in a base with `num_layers`.

    Raises:
        ConfigError: the base has fewer than `after_layer`.
    """
    if after_layer == LAST_LAYER:
        return num_layers
    if not 0 <= after_layer <= num_layers:
        raise ConfigError(
            f"adapter.after_layer={after_layer} is not possible: the base has {num_layers} recurrent layers; "
            f"use 0 to {num_layers}, or -1 for the last"
        )
    return after_layer
