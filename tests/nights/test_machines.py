"""The estimate of a fleet's first run by a table of measured machines."""

import json
from pathlib import Path

import pytest

from ds2ray.nights.machines import MACHINES, START_S, rough_estimate, training_by_encoding

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


def test_the_table_has_the_figures_of_the_lines_that_it_names() -> None:
    with_head, without = MACHINES
    nights = json.loads((RESULTS / with_head.source).read_text("utf-8"))
    now = next(recipe for recipe in nights["recipes"] if recipe["recipe"] == "now")
    speech_s = 60 * nights["minutes"]
    assert with_head.encode_s == pytest.approx(now["new_encode_s"] / speech_s, rel=0.01)
    assert with_head.epoch_s == pytest.approx(
        (now["new_s"] - now["new_encode_s"]) / now["new_epochs"] / speech_s, rel=0.01
    )
    levers = json.loads((RESULTS / without.source).read_text("utf-8"))
    plain = next(lever for lever in levers["levers"] if lever["lever"] == "unchanged")
    speech_s = 60 * levers["minutes"]
    assert (levers["after_layer"], levers["model"]) == (-1, without.base)
    assert without.encode_s == pytest.approx(plain["encode_s"] / speech_s, rel=0.01)
    assert without.epoch_s == pytest.approx(plain["epoch_s"] / speech_s, rel=0.01)


def test_a_base_twice_as_large_takes_twice_as_long_and_two_cpus_half() -> None:
    row = MACHINES[0]
    one = rough_estimate(36_000.0, 8, row.base_bytes, with_head=True, cpus=1).seconds - START_S
    assert one == pytest.approx(36_000 * (row.encode_s + 8 * row.epoch_s))
    assert rough_estimate(36_000.0, 8, 2 * row.base_bytes, with_head=True, cpus=2).seconds - START_S == (
        pytest.approx(one)
    )


def test_after_the_last_layer_the_size_of_the_base_matters_for_encoding_alone() -> None:
    row = MACHINES[1]
    found = rough_estimate(1000.0, 40, 2 * row.base_bytes, with_head=False, cpus=1)
    assert found.seconds - START_S == pytest.approx(1000 * (2 * row.encode_s + 40 * row.epoch_s))


def test_it_says_how_sure_it_is() -> None:
    text = rough_estimate(36_000.0, 8, MACHINES[0].base_bytes, with_head=True, cpus=2).text()
    assert text == (
        "no earlier run of this store tells how long it will take: about 8m (3m to 24m) with 2 CPUs, as many as this "
        "machine has, by a CPU of an AMD EPYC on which tiny was measured; a GPU is faster"
    )


def test_epochs_through_layers_of_the_base_outweigh_encoding() -> None:
    assert training_by_encoding(8, with_head=True) == pytest.approx(12.2, abs=0.1)
    assert training_by_encoding(8, with_head=False) == pytest.approx(0.63, abs=0.01)
