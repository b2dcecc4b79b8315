"""The figures of a run while it goes on, as Ray exports them."""

import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from fleet_runs import RandomBase, adapt_users, spoken, write_users

from ds2ray.cluster.measuring.figures import PREFIX, SERIES, values
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.fleet.tally import CohortSoFar, Tally
from ds2ray.nights.night import ENDED, write_last_run
from ds2ray.nights.spent import Spent
from ds2ray.storage import Traffic
from ds2ray.store import Store
from ds2ray.store.layout import summary_uri
from ds2ray.store.records import SUMMARY, write_record

ROOT = Path(__file__).resolve().parents[3]


def tally() -> Tally:
    now = Tally(3, 9, [100.0, 50.0, 50.0], started_s=0.0)
    now.report(0, {"adapted": 1, "failed": 1}, CohortSoFar("training", 6, 1.0, 1.0, 1.0, 5.0, 20.0), 30.0)
    now.finish(0)
    now.report(1, {}, CohortSoFar("encoding", 1, 0.05, 0.5, 0.0, 1.0, 0.0), 30.0)
    return now


def test_every_series_has_a_value_and_none_says_who_a_user_is() -> None:
    spent = Spent(stages={"planning": 2.0}, of_trials=Traffic(7, 1, 1000, 10), last_good_s=time.time() - 3600)
    told = {(name, label): value for name, label, value in values(tally(), spent, 20.0, 32.0)}
    assert {name for name, _ in told} == set(SERIES)
    assert {label for name, label in told if name == "users"} == {
        *("adapted", "unchanged", "kept_previous", "skipped_no_data", "failed", "waiting"),
    }
    assert (told["users", "adapted"], told["users", "waiting"]) == (1, 1)
    assert (told["stage_seconds", "planning"], told["worker_seconds", "training"]) == (2.0, 20.0)
    assert (told["worker_seconds", "encoding"], told["lease_age_seconds", ""]) == (6.0, 12.0)
    assert (told["cohorts_in_flight", ""], told["cohorts_waiting", ""]) == (1, 1)
    assert told["requests", ""] >= 7
    assert told["last_good_age_seconds", ""] == pytest.approx(3600, abs=60)
    assert told["eta_seconds", ""] > 0


def test_what_is_not_known_is_not_told_and_at_the_end_no_time_is_left() -> None:
    now = Tally(1, 1, [1.0], started_s=0.0)
    told = {name: value for name, _, value in values(now, Spent(), 0.0, 1.0)}
    assert set(SERIES) - told.keys() == {"eta_seconds", "last_good_age_seconds", "stage_seconds"}
    now.finish(0)
    assert ("eta_seconds", "", 0.0) in list(values(now, Spent(), 0.0, 1.0))


def exported() -> Iterator[str]:
    """The names of the series of ours that the nodes of the connected cluster export, without Ray's prefix."""
    for node in ray.nodes():
        address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        with urllib.request.urlopen(address, timeout=10) as answer:
            yield from re.findall(rf"^ray_{PREFIX}(\w+)", answer.read().decode(), re.MULTILINE)


def test_a_run_exports_every_series(
    ray_cluster: str, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
) -> None:
    root = random_base.publish(str(tmp_path / "store"))
    users = write_users(str(tmp_path / "users.csv"), {"tony": spoken(small_corpus)["tony"]})
    ended = time.strftime(ENDED, time.gmtime())
    write_record(Store(root), summary_uri(Store(root), "before"), SUMMARY, {"exit_code": 0, "ended": ended})
    write_last_run(Store(root), "before")
    code, outcomes = adapt_users(root, users, "measured", num_epochs=1)
    assert (code, list(outcomes)) == (0, ["tony"])
    while not set(SERIES) <= set(exported()):  # Ray exports every ten seconds; pytest's time limit ends a wait in vain
        time.sleep(0.5)


def test_the_dashboard_has_panels_of_series_that_a_run_exports() -> None:
    used = set(re.findall(rf"ray_{PREFIX}(\w+)", (ROOT / "k8s" / "monitoring" / "dashboard.json").read_text("utf-8")))
    assert used
    assert used <= set(SERIES)
