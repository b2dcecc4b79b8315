"""Rollback of users, lists and runs: pointers, the index, later publications, kills at every change."""

from pathlib import Path

import pytest
from kept_store import comparable, content, copied, fingerprint, night, publish, two_nights
from killed import dies_at

from ds2ray import store
from ds2ray.errors import InputError
from ds2ray.store import Store
from ds2ray.store.index import IndexRow, read_index
from ds2ray.store.layout import adapter_weights_uri, rollback_uri
from ds2ray.store.outcomes import Status
from ds2ray.upkeep import Moved, rollback_run, rollback_users, versions


@pytest.fixture
def place(tmp_path: Path) -> Store:
    return two_nights(str(tmp_path / "store"))


def weights(place: Store, key: str) -> bytes:
    """What a reader gets of a user; the base alone is nothing."""
    pointer = store.read_pointer(place, key)
    return store.read_adapter(place, pointer) if pointer else b""


def moved(done: object) -> dict[str, Moved]:
    return {move.user_key: move.moved for move in done.moves}  # type: ignore[attr-defined]


def test_a_user_gets_the_version_before_and_then_the_base(place: Store) -> None:
    assert moved(rollback_users(place, ["alice"])) == {"alice": Moved.version}
    assert weights(place, "alice") == b"alice one"
    assert moved(rollback_users(place, ["alice"])) == {"alice": Moved.base}
    assert weights(place, "alice") == b""
    assert moved(rollback_users(place, ["alice"])) == {"alice": Moved.nothing}
    assert [(v.seq, v.is_current) for v in versions(place, "alice")] == [(2, False), (1, False)]


def test_a_version_comes_back_after_the_base(place: Store) -> None:
    second = versions(place, "alice")[0].version
    rollback_users(place, ["alice"])
    rollback_users(place, ["alice"])
    rollback_users(place, ["alice"], version=second)
    assert weights(place, "alice") == b"alice two"
    assert [v.is_current for v in versions(place, "alice")] == [True, False]
    assert store.read_withdrawn(place, "alice") is None


def test_publication_after_the_base_goes_on_counting(place: Store) -> None:
    rollback_users(place, ["carol"])
    pointer = publish(place, "carol", b"carol two", "third")
    assert (pointer.seq, [entry["seq"] for entry in pointer.history]) == (2, [1])
    assert store.read_withdrawn(place, "carol") is None


def test_the_index_says_unchanged_for_the_speech_of_what_was_taken_back(place: Store) -> None:
    rollback_run(place, "second")
    index = read_index(place)
    name = index["alice"].run_id
    assert name.startswith("rollback-")
    first = versions(place, "alice")[1].version
    assert index["alice"] == IndexRow(fingerprint("alice", "second"), Status.kept_previous, first, name)
    assert index["carol"] == IndexRow(fingerprint("carol", "second"), Status.kept_previous, "", name)
    assert index["dave"].status is Status.failed


def test_who_is_to_be_trained_again_has_no_fingerprint(place: Store) -> None:
    rollback_users(place, ["alice"], retrain=True)
    assert read_index(place)["alice"].fingerprint == ""
    assert read_index(place)["bob"].fingerprint == fingerprint("bob", "second")


def test_a_run_is_taken_back_and_later_publications_are_left(place: Store) -> None:
    night(place, "third", {"bob": b"bob three"})
    done = rollback_run(place, "second")
    assert moved(done) == {
        "alice": Moved.version,
        "bob": Moved.newer,
        "carol": Moved.base,
    }
    assert [weights(place, key) for key in ("alice", "bob", "carol")] == [b"alice one", b"bob three", b""]
    again = rollback_run(place, "second")
    assert moved(again) == {"alice": Moved.nothing, "bob": Moved.newer, "carol": Moved.base} | {"carol": Moved.nothing}


def test_a_user_whom_a_killed_run_published_without_an_outcome_is_taken_back(place: Store) -> None:
    from ds2ray.store.layout import outcomes_part_uri

    for part in ("000000-0000", "settled"):
        place.delete(outcomes_part_uri(place, "second", part))
    assert moved(rollback_run(place, "second"))["alice"] is Moved.version


def test_a_damaged_version_before_is_told_and_nobody_else_is_stopped(place: Store) -> None:
    first = versions(place, "alice")[1].version
    place.write_bytes(adapter_weights_uri(place, "alice", first), b"alice on3")
    done = rollback_run(place, "second")
    assert moved(done) == {"alice": Moved.damaged, "bob": Moved.version, "carol": Moved.base}
    assert "sha256" in next(move.reason for move in done.moves if move.user_key == "alice")
    assert weights(place, "alice") == b"alice two"


def test_a_dry_run_tells_and_writes_nothing(place: Store) -> None:
    before = content(place.root_uri)
    assert moved(rollback_run(place, "second", dry_run=True))["carol"] is Moved.base
    assert content(place.root_uri) == before


def test_an_unknown_run_is_told_with_those_that_there_are(place: Store) -> None:
    with pytest.raises(InputError, match=r"no run 'secnd' \(did you mean second\?\); runs there"):
        rollback_run(place, "secnd")


def test_an_unknown_version_is_told(place: Store) -> None:
    with pytest.raises(InputError, match="no version 'abc'; versions there: "):
        rollback_users(place, ["alice"], version="abc")
    with pytest.raises(InputError, match="2 users are named"):
        rollback_users(place, ["alice", "bob"], version="abc")


def state(place: Store) -> dict[str, object]:
    """The store without what tells when and by whom."""
    found = {name: data for name, data in content(place.root_uri).items() if not name.endswith(".tmp")}
    index = {key: (row.fingerprint, row.status, row.version) for key, row in read_index(place).items()}
    return comparable(found) | {"index/users.parquet": index}


@pytest.mark.process
@pytest.mark.parametrize("whom", ["run", "list"])
@pytest.mark.usefixtures("no_power_fails")
def test_killed_at_every_change_and_run_again_it_ends_the_same(place: Store, tmp_path: Path, whom: str) -> None:
    def roll_back(where: Store) -> None:
        if whom == "run":
            rollback_run(where, "second")
        else:
            rollback_users(where, ["alice", "bob", "carol"])

    undisturbed = copied(place.root_uri, str(tmp_path / "undisturbed"))
    roll_back(undisturbed)
    expected, kills = state(undisturbed), 0
    while True:
        where = copied(place.root_uri, str(tmp_path / "killed"))
        if not dies_at(kills + 1, lambda where=where: roll_back(where)):  # type: ignore[misc]
            break
        kills += 1
        for key in ("alice", "bob", "carol"):
            assert weights(where, key) in (b"", b"alice one", b"alice two", b"bob one", b"bob two", b"carol one")
        roll_back(where)
        assert state(where) == expected, kills
        assert not where.exists(rollback_uri(where))
    assert kills >= 8
