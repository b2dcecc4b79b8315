"""Users whose speech ends the worker process: they fail alone, and all others come to their end."""

import functools
from pathlib import Path

import poisoned_trial
import pytest
import ray
from fleet_runs import adapt_users
from toy_fleet import make_users, silent_base

from ds2ray import storage
from ds2ray.cluster import fleet
from ds2ray.store import Store, read_pointer
from ds2ray.store.outcomes import Status


def test_users_that_kill_their_worker_fail_alone(
    ray_cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = silent_base(str(tmp_path / "store")).root
    # the first user that a trial comes to is the one with the most speech
    users = make_users(tmp_path, {"poison-1": 12, "ann": 10, "bob": 9, "poison-2": 8, "cem": 7, "dua": 6})
    ray.cloudpickle.register_pickle_by_value(poisoned_trial)  # Ray's workers do not find the modules of tests
    monkeypatch.setattr(
        fleet, "train_cohorts", functools.partial(fleet.train_cohorts, trial=poisoned_trial.PoisonedTrial)
    )
    code, trained = adapt_users(root, users, "run", max_failed_ratio=0.5)
    assert code == 0
    statuses = {user: row.status for user, row in trained.items()}
    assert statuses == {
        **dict.fromkeys(("ann", "bob", "cem", "dua"), Status.adapted),
        **dict.fromkeys(("poison-1", "poison-2"), Status.failed),
    }
    for user in ("poison-1", "poison-2"):
        why = "its worker ended early again while at work on this user alone (its process crashed, was killed, or ran"
        assert trained[user].reason.startswith(why)
        assert read_pointer(Store(root), user) is None
    for user in ("ann", "bob", "cem", "dua"):
        pointer = read_pointer(Store(root), user)
        assert pointer is not None
        assert pointer.seq == 1
    # all together, alone at the first, alone at the second, and the rest
    assert {row.attempts for row in trained.values()} == {4}
    assert capfd.readouterr().out.count("cohort 0 is started again: its worker ended before its time") == 3
    parts = [part.uri for part in storage.list_objects(f"{root}/runs/run/outcomes")][:-1]
    assert sorted(key for uri in parts for key in storage.read_table(uri)["user_key"].to_pylist()) == sorted(trained)
