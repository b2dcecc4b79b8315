"""The benchmark of users trained apart at toy size."""

import json
from pathlib import Path

import pytest

from benchmarks.adapting import company

pytestmark = pytest.mark.process


def test_apart_is_compared_with_together_at_both_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--users", "2", "--minutes", "0.15", "--epochs", "1", "--repeats", "1", "--model", "tiny"]
    company.main([*sizes, "--cache", str(tmp_path)])
    line = json.loads(capsys.readouterr().out)
    assert line["benchmark"] == "company"
    assert set(line["places"]) == {"first", "last"}
    for name, figures in line["places"].items():
        apart, together = (
            figures[f"encode_{way}_s"] + company.RATIO_EPOCHS * figures[f"train_{way}_s"]
            for way in ("apart", "together")
        )
        assert figures["ratio"] == pytest.approx(apart / together, rel=2e-3)
        assert (figures["ratio"] > company.MAX_RATIO) == (f"ratio at the {name} place" in line["falls_short"])
