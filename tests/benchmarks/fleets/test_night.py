"""Nights of a tiny fleet, on local folders; how fast they are, the benchmark says itself."""

from pathlib import Path
from typing import Any

import pytest
from fleet_runs import run_job_here

from benchmarks.fleets.night import Nights, Told, eta_errors, eta_in, fields_of, measure
from ds2ray.store import Store
from ds2ray.store.outcomes import Status, read_outcomes


def test_the_nights_of_a_tiny_fleet(ray_cluster: str, tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    speech = tmp_path / "speech"
    speech.mkdir()
    few: dict[str, Any] = {"num_epochs": 1, "cross_validate_below": 0, "max_concurrent_trials": 1}
    nights = measure(root, speech, 3, 4, job=run_job_here, nights=["second"], **few)
    assert nights.estimated_seconds > 0
    assert nights.idle_seconds > 0
    changed = {run: {row.user_key for row in read_outcomes(Store(root), run) if row.status is not Status.unchanged}
               for run in ("idle", "second")}  # fmt: skip
    assert changed == {"idle": set(), "second": {"user-000", "user-001"}}


@pytest.mark.parametrize(
    ("nights", "missed"),
    [
        (Nights(4.9, 60, 20.0, 16.0, [0.1, 0.3]), []),
        (Nights(5.1, 61, 20.0, 28.0, [0.1, 0.4]), ["idle_seconds", "idle_requests", "estimate_ratio", "eta_error"]),
        (Nights(1.0, 1, 28.0, 20.0, []), ["estimate_ratio", "eta_error"]),
    ],
)
def test_bars_that_are_missed_are_named(nights: Nights, missed: list[str]) -> None:
    assert fields_of(nights)["falls_short"] == missed


def test_the_time_that_was_told_is_held_against_that_which_was_left() -> None:
    lines = [
        Told(0.0, "planning", None),
        Told(10.0, "reading audio", None),
        Told(15.0, "encoding", None),
        Told(60.0, "training", 75.0),
        Told(105.0, "training", 1.0),
        Told(110.0, "training", 0.0),
    ]
    assert eta_errors(lines) == [pytest.approx(0.5)]
    silent = [Told(told.at_s, told.stage, None) for told in lines]
    assert eta_errors(silent) == [1.0]  # no time told is as bad as none left
    assert eta_errors(lines[:1]) == []


@pytest.mark.parametrize(
    ("facts", "seconds"),
    [
        (["3/8 users", "eta 45s"], 45.0),
        (["eta 1m20s"], 80.0),
        (["eta 17m"], 1020.0),
        (["eta 2h05m"], 7500.0),
        ([], None),
    ],
)
def test_the_time_that_is_left_is_read_from_a_line(facts: list[str], seconds: float | None) -> None:
    assert eta_in(facts) == seconds
