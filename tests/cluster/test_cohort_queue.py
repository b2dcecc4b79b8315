"""A run of many cohorts: each is a trial once, and what has finished takes no room in the driver."""

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
from fleet_runs import adapt_users
from toy_fleet import make_users, silent_base

from ds2ray.cluster import fleet
from ds2ray.cluster.progress import FleetProgress
from ds2ray.store.outcomes import Status


class Watched(FleetProgress):
    """Counts the trials that are still in memory when another one finishes."""

    cohorts: list[int]
    trials: "list[weakref.ref[Any]]"
    most_kept: int

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        gc.collect()
        Watched.most_kept = max(Watched.most_kept, sum(earlier() is not None for earlier in Watched.trials))
        Watched.trials.append(weakref.ref(trial))
        Watched.cohorts.append(trial.config["cohort"])


def test_trials_are_forgotten_when_they_have_finished(
    ray_cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = silent_base(str(tmp_path / "store")).root
    names = [f"u{number:02d}" for number in range(12)]
    users = make_users(tmp_path, dict.fromkeys(names, 6))
    Watched.cohorts, Watched.trials, Watched.most_kept = [], [], 0
    monkeypatch.setattr(fleet, "FleetProgress", Watched)
    code, trained = adapt_users(root, users, "run", max_cohort_users=1, max_concurrent_trials=0)
    assert (code, sorted(trained)) == (0, names)
    assert {row.status for row in trained.values()} == {Status.adapted}
    assert {row.attempts for row in trained.values()} == {1}
    assert sorted(Watched.cohorts) == list(range(12))
    assert Watched.most_kept <= 4  # two for each of two workers, however many cohorts there are
