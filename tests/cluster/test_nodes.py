"""A fleet run on several nodes, one of which is lost in the middle. It has a cluster and processes of its own."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from fleet_runs import ROOT
from toy_fleet import make_users, silent_base

from ds2ray import storage
from ds2ray.store import Store, read_pointer
from ds2ray.store.outcomes import Status, read_outcomes
from ds2ray.training.adapters.stack.stacked import STACK_ROWS

pytestmark = [pytest.mark.process, pytest.mark.ray]


def test_a_lost_node_costs_its_unfinished_users_a_second_try_and_nobody_else_anything(tmp_path: Path) -> None:
    root = silent_base(str(tmp_path / "store")).root
    # four cohorts of two users, who are trained one after the other: each cohort is half done for as long as one takes
    users = make_users(
        tmp_path, {**dict.fromkeys(("a", "b", "c", "d"), 40), **dict.fromkeys(("ay", "be", "ce", "de"), 36)}
    )
    settings = {"max_cohort_users": 2, "max_concurrent_trials": 0, "max_attempts": 2}
    # with as many rows to a step as a stack has, the two users of a cohort do not train together
    settings |= {"num_epochs": 120, "patience_epochs": 120, "batch_size": STACK_ROWS["cpu"]}
    seen = str(tmp_path / "seen.json")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/support/two_nodes.py"), root, users, "run", json.dumps(settings), seen],
        capture_output=True, text=True, check=False,
        env={**os.environ, "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = storage.read_json(seen)
    assert told["code"] == 0
    assert done.stdout.count("is started again: its node was lost") == 1

    # the base was read once, by the driver, and lay once on each node
    assert told["base_reads"] == 1
    assert len(told["nodes"]) == 3
    assert told["nodes_with_base"] == told["nodes"]

    rows = {row.user_key: row for row in read_outcomes(Store(root), "run")}
    assert {row.status for row in rows.values()} == {Status.adapted}
    assert sorted(rows) == ["a", "ay", "b", "be", "c", "ce", "d", "de"]
    # one cohort was taken up again, and whom it had finished was not trained again: nobody was published twice
    assert Counter(row.attempts for row in rows.values()) == {1: 6, 2: 2}
    finished, unfinished = (
        {user for user, row in rows.items() if row.attempts == 2 and (user in told["finished_before"]) is known}
        for known in (True, False)
    )
    assert (len(finished), len(unfinished)) == (1, 1)
    pointers = {user: read_pointer(Store(root), user) for user in rows}
    assert {user: pointer.seq for user, pointer in pointers.items() if pointer} == dict.fromkeys(rows, 1)
    parts = [part.uri for part in storage.list_objects(f"{root}/runs/run/outcomes")][:-1]
    assert sorted(key for uri in parts for key in storage.read_table(uri)["user_key"].to_pylist()) == sorted(rows)
    assert storage.list_objects(f"{root}/runs/run/attempts") == []  # nobody was suspected
