"""A search over adapters: what is tried, in which order, on whom, and which is the best."""

from dataclasses import dataclass

from ds2ray.config.adapter import Activation, AdapterConfig, AdapterKind
from ds2ray.config.fields import Choice, require, setting


class Search(Choice):
    grid = "grid", "every combination of the listed values"
    random = "random", "sweep.num_trials of these combinations, drawn by adapt.seed"
    optuna = (
        "optuna",
        "sweep.num_trials, chosen by Optuna from the errors of those before: pip install 'ds2ray[search]'",
    )


class Best(Choice):
    error = "error", "the lowest error"
    size = "size", "the smallest of those that are not worse beyond chance"
    seconds = "seconds", "the fastest to train of those that are not worse beyond chance"


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """A search over adapters on a few users: the values to try of each setting."""

    kinds: list[AdapterKind] = setting([], "kinds of adapter to try; empty: only adapter.kind")
    hidden_dims: list[list[int]] = setting([[32], [128], [512], [512, 256]], "mlp: shapes to try")
    dropouts: list[float] = setting([], "mlp: dropouts to try; empty: only adapter.dropout")
    activations: list[Activation] = setting([], "mlp: activations to try; empty: only adapter.activation")
    after_layers: list[int] = setting(
        [], "places to try, for each of which speech is encoded once; empty: only adapter.after_layer"
    )
    learning_rates: list[float] = setting([], "learning rates to try; empty: only adapt.learning_rate")
    num_epochs: list[int] = setting([], "numbers of epochs to try; empty: only adapt.num_epochs")
    batch_sizes: list[int] = setting([], "batch sizes to try; empty: only adapt.batch_size")
    kl_weights: list[float] = setting([], "pulls towards the base to try; empty: only adapt.kl_weight")
    search: Search = setting(Search.grid, "which combinations of these values are tried")
    num_trials: int = setting(24, "random, optuna: combinations to try")
    halving: int = setting(
        1,
        "successive halving: all train for a part of their epochs, the best of every so many go on with so many times "
        "as many epochs; 3 takes about a third of the time, 1 goes without",
    )
    num_users: int = setting(8, "users of the table that everything is tried on, drawn by adapt.seed")
    best: Best = setting(Best.error, "which trial best.yaml is of")
    output_dir: str = setting("", "URI of a folder that receives copies of the table, the plot and best.yaml")

    def __post_init__(self) -> None:
        require(self.num_users >= 1, "sweep.num_users", self.num_users, "at least 1")
        require(self.num_trials >= 1, "sweep.num_trials", self.num_trials, "at least 1")
        require(bool(self.hidden_dims), "sweep.hidden_dims", self.hidden_dims, "one or more shapes, as [[64],[256]]")
        require(self.halving >= 1, "sweep.halving", self.halving, "1 (none), or 2 or more; 3 is usual")
        together = self.halving == 1 or self.search is not Search.optuna
        require(together, "sweep.halving", self.halving, "1 beside sweep.search=optuna, which needs every error")
        for name, values in (("learning_rates", self.learning_rates), ("num_epochs", self.num_epochs)):
            require(all(value > 0 for value in values), f"sweep.{name}", values, "values above 0")
        require(all(size >= 1 for size in self.batch_sizes), "sweep.batch_sizes", self.batch_sizes, "sizes from 1")
        require(all(pull >= 0 for pull in self.kl_weights), "sweep.kl_weights", self.kl_weights, "weights from 0")
        of_mlp = self.dropouts or self.activations
        require(
            not of_mlp or not self.kinds or AdapterKind.mlp in self.kinds,
            "sweep.kinds",
            [kind.value for kind in self.kinds],
            "sweep.dropouts and sweep.activations are of use with mlp alone; add it, or leave them out",
        )
        for dims in self.hidden_dims:
            AdapterConfig(hidden_dims=dims)  # refuses what no adapter can have
