"""A sweep over adapter shapes: its points, and a row of results for each. Pure."""

import itertools
from dataclasses import dataclass, replace

from ds2ray.config import AdaptConfig, AdapterConfig, AdapterKind, SweepConfig, require


@dataclass(frozen=True)
class SweepPoint:
    """One adapter shape and learning rate to try."""

    adapter: AdapterConfig
    learning_rate: float

    def overrides(self) -> str:
        """The command line that selects it for jobs/adapt_users.py."""
        dims = ",".join(str(width) for width in self.adapter.hidden_dims)
        return (
            f"'adapter.hidden_dims=[{dims}]' adapter.activation={self.adapter.activation.value} "
            f"adapter.dropout={self.adapter.dropout:g} adapter.after_layer={self.adapter.after_layer} "
            f"adapt.learning_rate={self.learning_rate:g}"
        )


def sweep_points(sweep: SweepConfig, adapter: AdapterConfig, adapt: AdaptConfig) -> list[SweepPoint]:
    """Every combination of the listed values; a setting without a list keeps its configured value.

    Raises:
        ConfigError: it is another kind of adapter, which has none of the shapes that are tried.
    """
    require(adapter.kind is AdapterKind.mlp, "adapter.kind", adapter.kind.value, "a sweep compares shapes of mlp")
    return [
        SweepPoint(replace(adapter, hidden_dims=list(dims), activation=activation, dropout=dropout), rate)
        for dims, rate, dropout, activation in itertools.product(
            sweep.hidden_dims,
            sweep.learning_rates or [adapt.learning_rate],
            sweep.dropouts or [adapter.dropout],
            sweep.activations or [adapter.activation],
        )
    ]


@dataclass(frozen=True)
class SweepRow:
    """One trial, over all users of the sample. Errors are fractions on held-out speech."""

    overrides: str
    hidden_dims: str
    num_parameters: int
    size_bytes: int
    held_out_loss: float
    wer_before: float
    wer_after: float
    cer_after: float
