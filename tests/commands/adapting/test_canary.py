"""The canary of a new base, in runs of a fleet whose adapters are of another one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fleet_runs import RandomBase, job_of, write_users
from kept_store import FINGERPRINT
from toy_fleet import silent_base
from toy_speech import make_utterances

from ds2ray import storage
from ds2ray.commands import adapt_users
from ds2ray.config import AdaptJob, Canary, ErrorMetric, ReportConfig
from ds2ray.errors import CanaryError
from ds2ray.nights.night import read_night, write_last_run
from ds2ray.store import Store, publish_adapter, publish_base, read_base, read_pointer
from ds2ray.store.bases import current_base_id, make_current, read_canary
from ds2ray.store.index import close_run, read_index
from ds2ray.store.layout import last_run_uri, outcomes_uri, pointer_uri, run_uri, runs_uri, summary_uri
from ds2ray.store.outcomes import Outcome, Status, read_outcomes
from ds2ray.store.records import SUMMARY, write_record
from ds2ray.tables.manifest import Utterance

USERS = ("ann", "bob", "cyd")


@pytest.fixture(scope="module")
def new_base(tmp_path_factory: pytest.TempPathFactory) -> RandomBase:
    """A base that hears nothing: nearly everything is wrong, with adapters, too."""
    return silent_base(str(tmp_path_factory.mktemp("new-base")))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Utterance]]:
    folder = tmp_path_factory.mktemp("speech")
    for user in USERS:
        (folder / user).mkdir()
    return {user: make_utterances(folder / user, 5, seed=number) for number, user in enumerate(USERS)}


@pytest.fixture
def job_after(new_base: RandomBase, speech: dict[str, list[Utterance]], tmp_path: Path) -> Callable[..., AdaptJob]:
    """A job on the new base, for a fleet of which `ann` and `bob` have adapters of another base."""

    def job(error_had: float, **changed: Any) -> AdaptJob:
        root = new_base.publish(str(tmp_path / "store"))
        store, rows = Store(root), []
        record, weights = read_base(store)
        old = replace(record, base_id=FINGERPRINT[:16], fingerprint=FINGERPRINT)
        publish_base(store, weights, old, make_newest=False)
        for key in USERS[:2]:
            pointer = publish_adapter(
                store, key, key.encode(), base_fingerprint=FINGERPRINT, data_fingerprint="d", adapter={},
                run_id="before", error_before=1.0, error_after=error_had,
            )  # fmt: skip
            rows.append(
                Outcome(user_key=key, status=Status.adapted, version=pointer.version, fingerprint=f"speech of {key}")
            )
        close_run(store, "before", rows)
        settings = {"adapt.gate_metric": "wer"}
        summary = {"run_id": "before", "base_fingerprint": FINGERPRINT, "settings": settings}
        write_record(store, summary_uri(store, "before"), SUMMARY, summary)
        write_last_run(store, "before")
        made = job_of(root, write_users(str(tmp_path / "users.csv"), speech), "run", **changed)
        return replace(made, report=ReportConfig())

    return job


def contents(store: Store) -> dict[str, bytes]:
    """All that the store holds but for runs and the record of the last one."""
    found = {info.uri: storage.read_bytes(info.uri) for info in storage.list_objects(store.root_uri, recursive=True)}
    left_out = (runs_uri(store), f"{store.root_uri}/index/lease.json", f"{store.root_uri}/index/last_run.json")
    return {uri: data for uri, data in found.items() if not uri.startswith(left_out)}


def test_a_base_that_is_worse_is_given_to_nobody(
    ray_cluster: str, job_after: Callable[..., AdaptJob], capsys: pytest.CaptureFixture[str]
) -> None:
    job = job_after(0.05)
    store = Store(job.storage.root)
    record, _ = read_base(store)
    make_current(store, FINGERPRINT[:16])
    before = contents(store)
    make_current(store, record.base_id)
    with pytest.raises(CanaryError, match=r"of 2 users .* base b{16} is current again.*adapt.canary=never") as caught:
        adapt_users.run(job)
    assert caught.value.exit_code == 6
    assert contents(store) == before
    assert store.list_objects(outcomes_uri(store, "run")) == []
    summary = read_night(store, "run").summary
    assert (summary["exit_code"], summary["canary"]["held"], summary["canary"]["users"]) == (6, False, 2)
    assert (summary["statuses"]["adapted"], summary["previous"]) == (0, "before")
    page = storage.read_bytes(f"{run_uri(store, 'run')}/report.html").decode()
    assert "The gains did not hold" in page
    assert "stopped by the canary" in capsys.readouterr().out


def test_a_base_that_is_no_worse_is_given_to_all_each_trained_once(
    ray_cluster: str, job_after: Callable[..., AdaptJob], capsys: pytest.CaptureFixture[str]
) -> None:
    job = job_after(1.0)
    store = Store(job.storage.root)
    assert adapt_users.run(job) == 0
    outcomes = {row.user_key: row for row in read_outcomes(store, "run")}
    assert {key: row.status for key, row in outcomes.items()} == dict.fromkeys(USERS, Status.adapted)
    for key in USERS:
        pointer = read_pointer(store, key)
        assert pointer is not None
        assert (pointer.version, pointer.run_id) == (outcomes[key].version, "run")
        assert read_index(store)[key].version == pointer.version
    assert outcomes["ann"].seconds > 0
    base_id = current_base_id(store)
    passed = read_canary(store, base_id)
    assert passed is not None
    assert (passed["run_id"], passed["published"]) == ("run", 2)
    summary = read_night(store, "run").summary
    assert (summary["canary"]["held"], summary["canary"]["base_before"]) == (True, FINGERPRINT[:16])
    assert {"canary", "training"} <= summary["stages"].keys()
    assert "canary held: of 2 users 2 get an adapter" in capsys.readouterr().out
    write_last_run(store, "before")  # as after a kill
    assert adapt_users.run(replace(job, run_id="", dry_run=True, adapt=replace(job.adapt, force=True))) == 0
    assert "canary" not in capsys.readouterr().out  # a base passes once


def test_where_no_run_tells_the_base_before_the_adapters_do(
    job_after: Callable[..., AdaptJob], capsys: pytest.CaptureFixture[str]
) -> None:
    job = replace(job_after(0.05), dry_run=True)
    store = Store(job.storage.root)
    store.delete(last_run_uri(store))
    adapt_users.run(job)
    assert "canary: 2 users with an adapter of base bbbbbbbbbbbbbbbb" in capsys.readouterr().out
    for key in USERS[:2]:
        store.delete(pointer_uri(store, key))
    adapt_users.run(job)
    assert "canary" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "canary: 2 users with an adapter of base bbbbbbbbbbbbbbbb first, and the other 1 only if"),
        ({"canary_users": 1}, "canary: 1 users with an adapter"),
        ({"only": "cyd"}, "canary: none, as no user to train has an adapter of base bbbbbbbbbbbbbbbb"),
        ({"canary": Canary.never}, None),
        ({"gate_metric": ErrorMetric.cer}, "canary: none, as errors of before cannot be compared"),
    ],
)
def test_a_dry_run_says_who_is_first(
    job_after: Callable[..., AdaptJob], capsys: pytest.CaptureFixture[str], changed: dict[str, Any], said: str | None
) -> None:
    job = replace(job_after(0.05, **changed), dry_run=True)
    store = Store(job.storage.root)
    before = contents(store)
    assert adapt_users.run(job) == 0
    out = capsys.readouterr().out
    assert ("canary" in out, said is None or said in out) == (said is not None, True)
    assert contents(store) == before
