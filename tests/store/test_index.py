import os
import signal
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray import storage
from ds2ray.store import index, lease, outcomes
from ds2ray.store.index import IndexRow
from ds2ray.store.outcomes import Outcome, Status


@pytest.fixture(params=["path", pytest.param("s3", marks=pytest.mark.s3)])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "path" else str(request.getfixturevalue("s3_root"))


def row(key: str, status: Status, fingerprint: str, version: str = "") -> Outcome:
    return Outcome(user_key=key, status=status, fingerprint=fingerprint, version=version)


def test_a_new_store_knows_nobody(root: str) -> None:
    assert index.read_index(root) == {}
    assert index.recover_runs(root) == []


def test_a_run_is_taken_over_when_it_is_closed(root: str) -> None:
    index.open_run(root, "run-1")
    assert index.read_index(root) == {}
    rows = [
        row("a", Status.adapted, "fa", "va"),
        row("b", Status.kept_previous, "fb"),
        row("c", Status.skipped_no_data, "fc"),
        row("d", Status.failed, "fd"),
    ]
    index.close_run(root, "run-1", rows)
    assert index.read_index(root) == {
        "a": IndexRow("fa", Status.adapted, "va", "run-1"),
        "b": IndexRow("fb", Status.kept_previous, "", "run-1"),
        "c": IndexRow("fc", Status.skipped_no_data, "", "run-1"),
        "d": IndexRow("", Status.failed, "", "run-1"),  # nothing that the next plan could find unchanged
    }
    assert storage.list_objects(storage.join(root, "index", "pending")) == []
    assert index.recover_runs(root) == []


def test_later_runs_change_what_they_touched_only(root: str) -> None:
    index.close_run(root, "run-1", [row(key, Status.adapted, f"f{key}", f"v{key}") for key in "abcd"])
    rows = [
        row("a", Status.unchanged, "fa"),
        row("b", Status.adapted, "fb2", "vb2"),
        row("c", Status.kept_previous, "fc2"),
        row("d", Status.failed, "fd"),
    ]
    index.close_run(root, "run-2", rows)
    assert index.read_index(root) == {
        "a": IndexRow("fa", Status.adapted, "va", "run-1"),
        "b": IndexRow("fb2", Status.adapted, "vb2", "run-2"),
        "c": IndexRow("fc2", Status.kept_previous, "vc", "run-2"),
        "d": IndexRow("", Status.failed, "vd", "run-2"),
    }


def _run_and_die(root: str, run_id: str, rows: list[Outcome]) -> None:
    with lease.held(root, run_id):
        index.open_run(root, run_id)
        outcomes.write_part(root, run_id, "000000-0000", rows)
        os.kill(os.getpid(), signal.SIGKILL)


def crash(root: str, run_id: str, rows: list[Outcome]) -> None:
    """A run in a process of its own, killed after its first part."""
    process = get_context("fork").Process(target=_run_and_die, args=(root, run_id, rows))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.process
def test_a_run_that_crashed_is_recovered(root: str) -> None:
    crash(root, "crashed", [row("a", Status.adapted, "fa", "va"), row("b", Status.failed, "fb")])
    assert index.read_index(root) == {}
    assert index.recover_runs(root) == ["crashed"]
    assert index.read_index(root) == {
        "a": IndexRow("fa", Status.adapted, "va", "crashed"),
        "b": IndexRow("", Status.failed, "", "crashed"),
    }
    assert index.recover_runs(root) == []


@pytest.mark.process
def test_runs_are_recovered_in_the_order_of_their_beginning(root: str) -> None:
    crash(root, "z-first", [row("a", Status.adapted, "old", "v-old")])
    crash(root, "a-second", [row("a", Status.adapted, "new", "v-new")])
    assert index.recover_runs(root) == ["z-first", "a-second"]
    assert index.read_index(root) == {"a": IndexRow("new", Status.adapted, "v-new", "a-second")}


def test_a_run_that_crashed_before_its_first_outcome(root: str) -> None:
    index.open_run(root, "run")
    assert index.recover_runs(root) == ["run"]
    assert index.read_index(root) == {}


@pytest.mark.process
def test_recovering_twice_changes_nothing(root: str) -> None:
    """A crash while recovering leaves a run that is recovered once more."""
    rows = [row("a", Status.adapted, "fa", "va")]
    crash(root, "crashed", rows)
    index.recover_runs(root)
    once = index.read_index(root)
    index.open_run(root, "crashed")
    index.recover_runs(root)
    assert index.read_index(root) == once


def test_a_plan_reads_keys_and_fingerprints_only(root: str) -> None:
    assert index.read_fingerprints(root).to_pydict() == {"user_key": [], "fingerprint": []}
    index.close_run(root, "run", [row("b", Status.adapted, "fb", "vb"), row("a", Status.failed, "fa")])
    assert index.read_fingerprints(root).to_pydict() == {"user_key": ["a", "b"], "fingerprint": ["", "fb"]}


def test_a_run_of_unchanged_users_leaves_the_index_alone(root: str) -> None:
    index.close_run(root, "run-1", [row("a", Status.adapted, "fa", "va")])
    before = storage.stat_many([storage.join(root, "index/users.parquet")])
    index.close_run(root, "run-2", [row("a", Status.unchanged, "fa")])
    assert storage.stat_many(before) == before


ROWS = st.dictionaries(st.text("abé한", min_size=1, max_size=2), st.tuples(st.sampled_from(Status), st.integers(0, 2)))


@given(st.lists(ROWS, max_size=4))
def test_the_index_is_what_the_last_run_left_of_each_user(runs: list[dict[str, tuple[Status, int]]]) -> None:
    root, expected = "memory://index-property", dict[str, IndexRow]()
    for info in storage.list_objects(root, recursive=True):
        storage.delete(info.uri)
    for number, rows in enumerate(runs):
        run_id, written = f"run-{number}", []
        for key, (status, version) in rows.items():
            written.append(row(key, status, f"f{number}", "" if status is not Status.adapted else f"v{version}"))
            if status is Status.unchanged:
                continue
            before = expected[key].version if key in expected else ""
            fingerprint = "" if status is Status.failed else f"f{number}"
            expected[key] = IndexRow(fingerprint, status, written[-1].version or before, run_id)
        index.close_run(root, run_id, written)
    assert index.read_index(root) == expected
    assert list(index.read_index(root)) == sorted(expected)
