"""A search over adapter shapes."""

from dataclasses import dataclass

from ds2ray.config.adapter import Activation
from ds2ray.config.fields import require, setting


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """A search over adapter shapes on a few users."""

    hidden_dims: list[list[int]] = setting([[32], [128], [512], [512, 256]], "shapes to try")
    learning_rates: list[float] = setting([], "learning rates to try; empty: only adapt.learning_rate")
    dropouts: list[float] = setting([], "dropouts to try; empty: only adapter.dropout")
    activations: list[Activation] = setting([], "activations to try; empty: only adapter.activation")
    num_users: int = setting(4, "users of the table that every shape is tried on, drawn by adapt.seed")
    output_dir: str = setting("./outputs/sweep", "receives sweep.csv and sweep.png")

    def __post_init__(self) -> None:
        require(self.num_users >= 1, "sweep.num_users", self.num_users, "at least 1")
        require(bool(self.hidden_dims), "sweep.hidden_dims", self.hidden_dims, "one or more shapes, as [[64],[256]]")
