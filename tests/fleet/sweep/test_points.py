"""The points of a sweep: every combination once, and none of what a kind of adapter lacks."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from ds2ray.config import Activation, AdaptConfig, AdapterConfig, AdapterKind, Best, Search, SweepConfig
from ds2ray.errors import ConfigError
from ds2ray.fleet.sweep.points import TRIED, SweepPoint, Trial, named, sweep_points, varied
from ds2ray.fleet.sweep.search import trial_of

LISTS: dict[str, tuple[str, list[Any]]] = {
    "hidden_dims": ("adapter.hidden_dims", [[32], [64, 32, 16]]),
    "dropouts": ("adapter.dropout", [0.0, 0.25]),
    "activations": ("adapter.activation", [Activation.gelu, Activation.tanh]),
    "after_layers": ("adapter.after_layer", [0, -1]),
    "learning_rates": ("adapt.learning_rate", [1e-3, 2.5e-4]),
    "num_epochs": ("adapt.num_epochs", [3, 7]),
    "batch_sizes": ("adapt.batch_size", [1, 8]),
    "kl_weights": ("adapt.kl_weight", [0.0, 0.2]),
}


@pytest.mark.parametrize("name", LISTS)
def test_each_list_is_tried_and_what_is_not_listed_keeps_its_value(name: str) -> None:
    adapter = AdapterConfig(dropout=0.3, activation=Activation.silu, after_layer=1)
    adapt = AdaptConfig(learning_rate=0.5, kl_weight=0.7)
    setting, values = LISTS[name]
    lists: dict[str, Any] = {"hidden_dims": [[7]], name: values}
    points = sweep_points(SweepConfig(**lists), adapter, adapt)
    unchanged = SweepPoint(replace(adapter, hidden_dims=[7]), adapt).settings()
    plain = [getattr(value, "value", value) for value in values]
    assert [point.settings() for point in points] == [{**unchanged, setting: value} for value in plain]
    assert varied(points) == [setting]


def test_every_combination_is_a_point_once() -> None:
    lists: dict[str, Any] = {name: [*values, values[0]] for name, (_, values) in LISTS.items()}
    points = sweep_points(SweepConfig(**lists), AdapterConfig(), AdaptConfig())
    assert len(points) == 2 ** len(LISTS)
    expected = set(itertools.product(*(map(repr, values) for _, values in LISTS.values())))
    found = {
        (
            *map(repr, (p.adapter.hidden_dims, p.adapter.dropout, p.adapter.activation, p.adapter.after_layer)),
            *map(repr, (p.adapt.learning_rate, p.adapt.num_epochs, p.adapt.batch_size, p.adapt.kl_weight)),
        )
        for p in points
    }
    assert found == expected


def test_a_kind_without_shapes_is_tried_once_for_each_training() -> None:
    sweep = SweepConfig(kinds=[AdapterKind.mlp, AdapterKind.lhuc], dropouts=[0.0, 0.5], learning_rates=[0.1, 0.2])
    points = sweep_points(sweep, AdapterConfig(), AdaptConfig())
    lhuc = [point for point in points if point.adapter.kind is AdapterKind.lhuc]
    assert len(points) == 4 * 2 * 2 + 2
    assert [point.adapt.learning_rate for point in lhuc] == [0.1, 0.2]
    names = varied(points)
    assert names == ["adapter.kind", "adapter.hidden_dims", "adapter.dropout", "adapt.learning_rate"]
    assert named(lhuc[0].settings(), names) == "kind lhuc, learning_rate 0.1"
    assert named(points[-3].settings(), names) == "kind mlp, hidden_dims 512-256, dropout 0.5, learning_rate 0.2"


def test_one_point_has_nothing_that_varies() -> None:
    points = sweep_points(SweepConfig(hidden_dims=[[4]]), AdapterConfig(), AdaptConfig())
    assert (varied(points), named(points[0].settings(), [])) == ([], "as configured")


class TestIds:
    point = SweepPoint(AdapterConfig(), AdaptConfig())

    def test_what_changes_a_result_changes_the_id(self) -> None:
        changed = [
            *(replace(self.point, adapter=replace(self.point.adapter, hidden_dims=[dims])) for dims in (1, 2)),
            replace(self.point, adapter=AdapterConfig(kind=AdapterKind.lhuc)),
            *(replace(self.point, adapt=replace(self.point.adapt, num_epochs=number)) for number in (1, 2)),
            replace(self.point, adapt=replace(self.point.adapt, seed=7)),
        ]
        ids = {trial_of(point).trial_id("sample") for point in [self.point, *changed]}
        ids |= {trial_of(self.point).trial_id("another"), trial_of(self.point, 0.5).trial_id("sample")}
        assert len(ids) == len(changed) + 3

    def test_how_it_is_run_does_not(self) -> None:
        elsewhere = replace(self.point.adapt, cpus_per_trial=2.0, max_concurrent_trials=1, encode_batch_s=3.0)
        here, there = trial_of(self.point), trial_of(replace(self.point, adapt=elsewhere))
        assert here.trial_id("sample") == there.trial_id("sample")
        assert here.is_whole
        assert not trial_of(self.point, 0.1).is_whole
        assert trial_of(self.point, 1e-9) == Trial(
            replace(self.point, adapt=replace(self.point.adapt, num_epochs=1)), self.point.adapt.num_epochs
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_dims": []}, "sweep.hidden_dims"),
        ({"hidden_dims": [[4], []]}, "hidden_dims"),
        ({"hidden_dims": [[1, 2, 3, 4]]}, "hidden_dims"),
        ({"num_users": 0}, "sweep.num_users"),
        ({"num_trials": 0}, "sweep.num_trials"),
        ({"halving": 0}, "sweep.halving"),
        ({"halving": 3, "search": Search.optuna}, "sweep.halving"),
        ({"learning_rates": [0.1, 0.0]}, "sweep.learning_rates"),
        ({"num_epochs": [0]}, "sweep.num_epochs"),
        ({"batch_sizes": [0]}, "sweep.batch_sizes"),
        ({"kl_weights": [-0.1]}, "sweep.kl_weights"),
        ({"kinds": [AdapterKind.lhuc], "dropouts": [0.1]}, "sweep.kinds"),
        ({"dropouts": [1.0]}, "adapter.dropout"),
        ({"after_layers": [-2]}, "adapter.after_layer"),
    ],
)
def test_what_cannot_be_tried_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sweep_points(SweepConfig(**settings), AdapterConfig(), AdaptConfig())


def test_defaults() -> None:
    assert len(sweep_points(SweepConfig(), AdapterConfig(), AdaptConfig())) == 4
    assert SweepConfig().best is Best.error
    assert set(SweepPoint(AdapterConfig(), AdaptConfig()).settings()) == set(TRIED)
