"""The benchmark of single settings at toy size."""

import json
from pathlib import Path

import pytest

from benchmarks.adapting import levers

pytestmark = pytest.mark.process


def test_each_lever_is_compared_with_the_settings_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--users", "2", "--minutes", "0.15", "--epochs", "3", "--test-sentences", "2", "--model", "tiny"]
    recipes = ["--recipes", "unchanged=", "short=num_epochs=1"]
    levers.main([*sizes, *recipes, "--base", "random", "--cache", str(tmp_path)])
    line = json.loads(capsys.readouterr().out)
    assert line["benchmark"] == "levers"
    rows = line["levers"]
    assert [(row["lever"], row["threads"], row["changed"], row["epochs_trained"]) for row in rows] == [
        ("unchanged", 1, {}, 3),
        ("short", 1, {"num_epochs": "1"}, 1),
        ("unchanged_2_threads", 2, {}, 3),
    ]
    assert rows[0]["speedup"] == 1
    for row in rows:
        assert row["speedup"] == pytest.approx(rows[0]["seconds"] / row["seconds"], rel=2e-3)
        assert 0 < row["encode_s"] + row["train_s"] <= row["seconds"] * 1.001
        assert row["epoch_s"] == pytest.approx(row["train_s"] / row["epochs_trained"], rel=2e-3)
        assert row["wer"] > 0
