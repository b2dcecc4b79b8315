"""Devices that are lost to a worker: its process ends, and where that is all that happens, so does the run."""

import functools
from pathlib import Path

import lost_device
import pytest
import ray
from fleet_runs import adapt_users, changed_outcomes
from toy_fleet import make_users, silent_base

from ds2ray import storage
from ds2ray.cluster import fleet
from ds2ray.errors import DeviceLostError
from ds2ray.store.outcomes import Status


@pytest.fixture
def losing(ray_cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ray.cloudpickle.register_pickle_by_value(lost_device)  # Ray's workers do not find the modules of tests
    monkeypatch.setattr(fleet, "train_cohorts", functools.partial(fleet.train_cohorts, trial=lost_device.LosingTrial))


def test_who_follows_in_the_same_cohort_is_trained_by_another_process(losing: None, tmp_path: Path) -> None:
    root = silent_base(str(tmp_path / "store")).root
    users = make_users(tmp_path, {"guilty": 8, "ann": 7, "bob": 6})
    code, trained = adapt_users(root, users, "run", max_failed_ratio=0.5)
    assert code == 0
    statuses = {user: row.status for user, row in trained.items()}
    assert statuses == {"guilty": Status.failed, "ann": Status.adapted, "bob": Status.adapted}
    assert "CUDA error: device-side assert triggered" in trained["guilty"].reason


def test_where_the_first_users_all_end_so_the_run_stops(losing: None, tmp_path: Path) -> None:
    root = silent_base(str(tmp_path / "store")).root
    users = make_users(tmp_path, {f"guilty-{number}": 6 for number in range(5)})
    with pytest.raises(DeviceLostError, match=r"the first 2 users all failed for one cause.*device-side assert"):
        adapt_users(root, users, "run", max_cohort_users=1, max_attempts=1, stop_after_failures=2)
    assert changed_outcomes(root, "run") == {}  # nobody is said to have failed
    summary = storage.read_json(f"{root}/runs/run/summary.json")
    assert (summary["exit_code"], summary["interrupted"]) == (75, True)
