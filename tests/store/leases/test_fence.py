"""A run that has lost its lease writes nothing more, and a write that came late all the same is found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ds2ray import storage
from ds2ray.errors import InterruptedRunError
from ds2ray.store import BaseRecord, OwnWord, Store, lease, publish_adapter, publish_base, publish_words, read_pointer
from ds2ray.store import store as stores
from ds2ray.store.index import close_run, forget_users, open_run, read_index
from ds2ray.store.leases import fence
from ds2ray.store.outcomes import Outcome, Status, read_outcomes, write_part
from ds2ray.store.recovery.agreement import heal_index


@pytest.fixture
def place(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


@pytest.fixture(autouse=True)
def nothing_is_relied_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write looks at the lease, and none is quick enough to be sure that it was in time."""
    monkeypatch.setattr(fence, "FRESH_S", 0.0)
    monkeypatch.setattr(stores, "LATE_S", -1.0)


def publish(place: Store, key: str, weights: bytes, run_id: str = "run") -> str:
    pointer = publish_adapter(
        place,
        key,
        weights,
        base_fingerprint="base",
        data_fingerprint="data",
        adapter={},
        run_id=run_id,
        error_before=0.5,
        error_after=0.25,
    )
    return pointer.version


def adapted(key: str, version: str) -> Outcome:
    return Outcome(user_key=key, status=Status.adapted, version=version, fingerprint="data")


def files(place: Store) -> list[tuple[str, str]]:
    return [(info.uri, info.version_tag) for info in storage.list_objects(place.root_uri, recursive=True)]


BASE = BaseRecord(
    base_id="1" * 16, fingerprint="1" * 64, sha256="2" * 64, size_bytes=1, model={}, audio={}, vocabulary={},
    run_id="", metrics={},
)  # fmt: skip

WRITES: dict[str, Callable[[Store], object]] = {
    "adapter": lambda place: publish(place, "kim", b"new"),
    "words": lambda place: publish_words(place, "kim", [OwnWord("anna")]),
    "outcomes": lambda place: write_part(place, "run", "000000-0000", [adapted("kim", "v")]),
    "mark": lambda place: open_run(place, "run"),
    "index": lambda place: close_run(place, "run", [adapted("kim", "v")]),
    "forgotten": lambda place: forget_users(place, {"ann"}),
    "base": lambda place: publish_base(place, b"weights", BASE),
    "json": lambda place: place.write_json(f"{place.root_uri}/runs/run/summary.json", {}),
    "deletion": lambda place: place.delete(f"{place.root_uri}/index/users.parquet"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_who_has_lost_the_lease_writes_nothing(place: Store, write: Callable[[Store], object]) -> None:
    with lease.held(place, "run") as hold:
        version = publish(hold.store, "ann", b"old")
        close_run(hold.store, "run", [adapted("ann", version)])
        lease.break_lease(place)
        before = files(place)
        with pytest.raises(InterruptedRunError, match="run run has lost the lease"):
            write(hold.store)
        assert files(place) == before


def test_a_publication_tells_under_which_lease_it_was_made(place: Store) -> None:
    with lease.held(place, "first"), pytest.raises(InterruptedRunError), lease.held(place, "other"):
        pytest.fail("it is held")
    with lease.held(place, "second") as hold:
        publish(hold.store, "kim", b"new")
        pointer = read_pointer(place, "kim")
        assert pointer is not None
        assert pointer.fence == hold.lease.fence == 2


def test_a_later_run_s_publication_is_seen_at_once(place: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the process still relies on having seen that it has the lease."""
    monkeypatch.setattr(fence, "FRESH_S", 1e9)
    with lease.held(place, "first") as hold:
        hold.store.write_bytes(f"{place.root_uri}/a", b"")
        lease.break_lease(place)
        with lease.held(place, "second") as other:
            newest = publish(other.store, "kim", b"newest")
            with pytest.raises(InterruptedRunError):
                publish(hold.store, "kim", b"late")
            pointer = read_pointer(place, "kim")
            assert pointer is not None
            assert pointer.version == newest


def test_two_writers_without_a_lease_lose_nothing(place: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one publishes between reading the pointer and writing it."""
    read_seen = storage.read_seen
    versions = list[str]()

    def interrupted(uri: str, *server: Any) -> storage.Seen:
        seen = read_seen(uri, *server)
        if uri.endswith("current.json") and not versions:
            versions.append("")
            versions[0] = publish(place, "kim", b"other")
        return seen

    monkeypatch.setattr(storage, "read_seen", interrupted)
    mine = publish(place, "kim", b"mine")
    pointer = read_pointer(place, "kim")
    assert pointer is not None
    assert (pointer.version, pointer.seq, [entry["version"] for entry in pointer.history]) == (mine, 2, versions)


def test_a_write_that_came_late_is_marked_and_the_user_is_planned_again(
    place: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that was stopped directly before its write, where nothing is conditional, hides a newer publication."""
    monkeypatch.setattr(storage, "honours_conditions", lambda uri, *server: not uri.endswith("current.json"))
    write = storage.write_where_seen
    newest = list[str]()

    def stopped(uri: str, data: bytes, *rest: Any) -> bool:
        if newest or not uri.endswith("current.json"):
            return write(uri, data, *rest)
        newest.append("")
        lease.break_lease(place)
        with lease.held(place, "second") as other:
            newest[0] = publish(other.store, "kim", b"newest", "second")
            close_run(other.store, "second", [adapted("kim", newest[0]), adapted("ann", "")])
        storage.write_bytes(uri, data)
        return True

    monkeypatch.setattr(storage, "write_where_seen", stopped)
    with lease.held(place, "late") as hold, pytest.raises(fence.LateWriteError):
        publish(hold.store, "kim", b"old", "late")
    pointer = read_pointer(place, "kim")
    assert pointer is not None
    assert newest[0] not in (pointer.version, *(entry["version"] for entry in pointer.history))
    with lease.held(place, "third") as hold:
        found = heal_index(hold.store, sample=0)
        assert list(found) == ["kim"]
        assert "knows nothing of version" in found["kim"]
        assert heal_index(hold.store, sample=0) == {}
    assert read_index(place)["kim"].fingerprint == ""
    assert read_index(place)["ann"].fingerprint == "data"


def test_outcomes_that_came_late_are_taken_back(place: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write = storage.write_table

    def stopped(*arguments: Any) -> None:
        lease.break_lease(place)
        write(*arguments)

    monkeypatch.setattr(storage, "write_table", stopped)
    with lease.held(place, "run") as hold, pytest.raises(InterruptedRunError):
        write_part(hold.store, "run", "000000-0000", [adapted("kim", "v")])
    assert read_outcomes(place, "run") == []
