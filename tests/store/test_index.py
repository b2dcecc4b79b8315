import os
import signal
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray import storage
from ds2ray.store import Store, index, lease, outcomes
from ds2ray.store.index import IndexRow
from ds2ray.store.layout import index_uri
from ds2ray.store.outcomes import Outcome, Status


@pytest.fixture(params=["path", pytest.param("s3", marks=pytest.mark.s3)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path) if request.param == "path" else request.getfixturevalue("s3_root"))


def row(key: str, status: Status, fingerprint: str, version: str = "") -> Outcome:
    return Outcome(user_key=key, status=status, fingerprint=fingerprint, version=version)


def test_a_new_store_knows_nobody(place: Store) -> None:
    assert index.read_index(place) == {}
    assert index.recover_runs(place) == []


def test_a_run_is_taken_over_when_it_is_closed(place: Store) -> None:
    index.open_run(place, "run-1")
    assert index.read_index(place) == {}
    rows = [
        row("a", Status.adapted, "fa", "va"),
        row("b", Status.kept_previous, "fb"),
        row("c", Status.skipped_no_data, "fc"),
        row("d", Status.failed, "fd"),
    ]
    index.close_run(place, "run-1", rows)
    assert index.read_index(place) == {
        "a": IndexRow("fa", Status.adapted, "va", "run-1"),
        "b": IndexRow("fb", Status.kept_previous, "", "run-1"),
        "c": IndexRow("fc", Status.skipped_no_data, "", "run-1"),
        "d": IndexRow("", Status.failed, "", "run-1"),  # nothing that the next plan could find unchanged
    }
    assert storage.list_objects(storage.join(place.root_uri, "index", "pending")) == []
    assert index.recover_runs(place) == []


def test_later_runs_change_what_they_touched_only(place: Store) -> None:
    index.close_run(place, "run-1", [row(key, Status.adapted, f"f{key}", f"v{key}") for key in "abcd"])
    rows = [
        row("a", Status.unchanged, "fa"),
        row("b", Status.adapted, "fb2", "vb2"),
        row("c", Status.kept_previous, "fc2"),
        row("d", Status.failed, "fd"),
    ]
    index.close_run(place, "run-2", rows)
    assert index.read_index(place) == {
        "a": IndexRow("fa", Status.adapted, "va", "run-1"),
        "b": IndexRow("fb2", Status.adapted, "vb2", "run-2"),
        "c": IndexRow("fc2", Status.kept_previous, "vc", "run-2"),
        "d": IndexRow("", Status.failed, "vd", "run-2"),
    }


def _run_and_die(place: Store, run_id: str, rows: list[Outcome]) -> None:
    with lease.held(place, run_id):
        index.open_run(place, run_id)
        outcomes.write_part(place, run_id, "000000-0000", rows)
        os.kill(os.getpid(), signal.SIGKILL)


def crash(place: Store, run_id: str, rows: list[Outcome]) -> None:
    """A run in a process of its own, killed after its first part."""
    process = get_context("fork").Process(target=_run_and_die, args=(place, run_id, rows))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.process
def test_a_run_that_crashed_is_recovered(place: Store) -> None:
    crash(place, "crashed", [row("a", Status.adapted, "fa", "va"), row("b", Status.failed, "fb")])
    assert index.read_index(place) == {}
    assert index.recover_runs(place) == ["crashed"]
    assert index.read_index(place) == {
        "a": IndexRow("fa", Status.adapted, "va", "crashed"),
        "b": IndexRow("", Status.failed, "", "crashed"),
    }
    assert index.recover_runs(place) == []


@pytest.mark.process
def test_runs_are_recovered_in_the_order_of_their_beginning(place: Store) -> None:
    crash(place, "z-first", [row("a", Status.adapted, "old", "v-old")])
    crash(place, "a-second", [row("a", Status.adapted, "new", "v-new")])
    assert index.recover_runs(place) == ["z-first", "a-second"]
    assert index.read_index(place) == {"a": IndexRow("new", Status.adapted, "v-new", "a-second")}


def test_a_run_that_crashed_before_its_first_outcome(place: Store) -> None:
    index.open_run(place, "run")
    assert index.recover_runs(place) == ["run"]
    assert index.read_index(place) == {}


@pytest.mark.process
def test_recovering_twice_changes_nothing(place: Store) -> None:
    """A crash while recovering leaves a run that is recovered once more."""
    rows = [row("a", Status.adapted, "fa", "va")]
    crash(place, "crashed", rows)
    index.recover_runs(place)
    once = index.read_index(place)
    index.open_run(place, "crashed")
    index.recover_runs(place)
    assert index.read_index(place) == once


def test_a_plan_reads_keys_and_fingerprints_only(place: Store) -> None:
    assert index.read_fingerprints(place).to_pydict() == {"user_key": [], "fingerprint": []}
    index.close_run(place, "run", [row("b", Status.adapted, "fb", "vb"), row("a", Status.failed, "fa")])
    assert index.read_fingerprints(place).to_pydict() == {"user_key": ["a", "b"], "fingerprint": ["", "fb"]}


def test_a_run_of_unchanged_users_leaves_the_index_alone(place: Store) -> None:
    index.close_run(place, "run-1", [row("a", Status.adapted, "fa", "va")])
    before = storage.stat_many([storage.join(place.root_uri, "index/users.parquet")])
    index.close_run(place, "run-2", [row("a", Status.unchanged, "fa")])
    assert storage.stat_many(before) == before


ROWS = st.dictionaries(st.text("abé한", min_size=1, max_size=2), st.tuples(st.sampled_from(Status), st.integers(0, 2)))


@given(st.lists(ROWS, max_size=4))
def test_the_index_is_what_the_last_run_left_of_each_user(runs: list[dict[str, tuple[Status, int]]]) -> None:
    place, expected = Store("memory://index-property"), dict[str, IndexRow]()
    for info in storage.list_objects(place.root_uri, recursive=True):
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
        index.close_run(place, run_id, written)
    assert index.read_index(place) == expected
    assert list(index.read_index(place)) == sorted(expected)


def test_who_was_unusable_has_the_state_of_the_pipeline(place: Store) -> None:
    rows = [replace(row("a", Status.skipped_no_data, "fa"), unusable=True), row("b", Status.skipped_no_data, "fb")]
    index.close_run(place, "run-1", [*rows, row("c", Status.adapted, "fc", "vc")], pipeline="1-ab")
    known = index.read_known(place)
    assert known["pipeline"].to_pylist() == ["1-ab", "", ""]
    assert [tried is not None for tried in known["tried_s"].to_pylist()] == [True, False, False]
    # who has usable speech again is as everybody else
    index.close_run(place, "run-2", [row("a", Status.adapted, "fa", "va")], pipeline="1-ab")
    assert index.read_known(place).select(["pipeline", "version"]).to_pydict() == {
        "pipeline": ["", "", ""],
        "version": ["va", "", "vc"],
    }


def test_an_index_of_an_earlier_release_has_its_skipped_users_tried_again(place: Store) -> None:
    rows = {
        "user_key": ["a", "b"],
        "fingerprint": ["fa", "fb"],
        "status": ["skipped_no_data", "adapted"],
        "version": ["", "vb"],
        "run_id": ["run-0", "run-0"],
    }
    place.write_table(index_uri(place), pa.table(rows))
    assert index.read_known(place)["pipeline"].to_pylist() == ["0", ""]
    index.close_run(place, "run-1", [row("c", Status.kept_previous, "fc")])
    assert index.read_known(place)["pipeline"].to_pylist() == ["0", "", ""]
    assert index.read_index(place)["b"] == IndexRow("fb", Status.adapted, "vb", "run-0")
