"""The points of a sweep: adapters with the settings of their training, each a combination of listed values. Pure."""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ds2ray.config import AdaptConfig, AdapterConfig, AdapterKind, SweepConfig, adapter_to_plain, to_plain
from ds2ray.fleet.fingerprints import settings_that_matter

ID_LENGTH = 16
"""Hex digits of the id of a trial."""

TRIED = (
    *("adapter.kind", "adapter.hidden_dims", "adapter.activation", "adapter.dropout", "adapter.after_layer"),
    *("adapt.learning_rate", "adapt.num_epochs", "adapt.batch_size", "adapt.kl_weight"),
)
"""The settings of which a sweep tries several values."""


@dataclass(frozen=True)
class SweepPoint:
    """An adapter, and how it is trained."""

    adapter: AdapterConfig
    adapt: AdaptConfig

    def settings(self) -> dict[str, Any]:
        """The values of the settings that a sweep tries, JSON-ready, without those that this kind of adapter lacks."""
        adapter = {"kind": self.adapter.kind.value, **adapter_to_plain(self.adapter)}
        plain = {f"adapter.{name}": value for name, value in adapter.items()}
        plain |= {f"adapt.{name}": value for name, value in to_plain(self.adapt).items()}
        return {name: plain[name] for name in TRIED if name in plain}


@dataclass(frozen=True)
class Trial:
    """A point that is tried on all users of the sample.

    Attributes:
        point: with the epochs of this trial, which in successive halving are a part of all.
        num_epochs: that the point has in full.
    """

    point: SweepPoint
    num_epochs: int

    @property
    def is_whole(self) -> bool:
        """Whether it trains for all epochs of its point."""
        return self.point.adapt.num_epochs == self.num_epochs

    def trial_id(self, sample: str) -> str:
        """The id of the trial on a sample of users: the digest of all that its result depends on."""
        matter = settings_that_matter(self.point.adapter, self.point.adapt)
        return digest({"sample": sample, **matter})[:ID_LENGTH]


def sweep_points(sweep: SweepConfig, adapter: AdapterConfig, adapt: AdaptConfig) -> list[SweepPoint]:
    """Every combination of the listed values, each once; a setting without a list keeps its configured value.

    Settings that a kind of adapter lacks are tried with the other kinds only.

    Raises:
        ConfigError: a value that no adapter, or no training, can have.
    """
    adapters = [
        one
        for kind in sweep.kinds or [adapter.kind]
        for place in sweep.after_layers or [adapter.after_layer]
        for one in _adapters(sweep, adapter, kind, place)
    ]
    trainings = [
        replace(adapt, learning_rate=rate, num_epochs=num_epochs, batch_size=batch_size, kl_weight=kl_weight)
        for rate, num_epochs, batch_size, kl_weight in itertools.product(
            sweep.learning_rates or [adapt.learning_rate],
            sweep.num_epochs or [adapt.num_epochs],
            sweep.batch_sizes or [adapt.batch_size],
            sweep.kl_weights or [adapt.kl_weight],
        )
    ]
    points = [SweepPoint(one, training) for one in adapters for training in trainings]
    return list({json.dumps(point.settings()): point for point in points}.values())


def _adapters(sweep: SweepConfig, adapter: AdapterConfig, kind: AdapterKind, place: int) -> list[AdapterConfig]:
    """The adapters of one kind at one place."""
    if kind is not AdapterKind.mlp:
        return [AdapterConfig(kind=kind, after_layer=place)]
    return [
        AdapterConfig(kind=kind, hidden_dims=list(dims), activation=activation, dropout=dropout, after_layer=place)
        for dims, dropout, activation in itertools.product(
            sweep.hidden_dims, sweep.dropouts or [adapter.dropout], sweep.activations or [adapter.activation]
        )
    ]


def varied(points: Sequence[SweepPoint]) -> list[str]:
    """The settings in which those of these points differ that have them, in the order of TRIED."""
    seen = [point.settings() for point in points]
    return [name for name in TRIED if len({json.dumps(settings[name]) for settings in seen if name in settings}) > 1]


def named(settings: Mapping[str, Any], names: Sequence[str]) -> str:
    """A point in words, by the settings of these names that it has: `hidden_dims 512-256, learning_rate 0.002`."""
    parts = [f"{name.partition('.')[2]} {shown(settings[name])}" for name in names if name in settings]
    return ", ".join(parts) or "as configured"


def shown(value: object) -> str:
    """The value of a setting as it is shown; widths are joined by dashes."""
    if isinstance(value, list):
        return "-".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def digest(values: Mapping[str, Any]) -> str:
    """sha256, in hex digits, of JSON-ready values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
