"""Damaged leftovers of killed runs are set aside, and their users planned again; index and pointers are compared."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ds2ray import storage
from ds2ray.store import Store, publish_adapter, rollback
from ds2ray.store.index import close_run, open_run, read_index, recover_runs
from ds2ray.store.layout import outcomes_part_uri, plan_uri, pointer_uri, run_mark_uri
from ds2ray.store.outcomes import Outcome, Status, read_outcomes, read_part, write_part
from ds2ray.store.recovery.agreement import disagreements, heal_index
from ds2ray.store.recovery.marks import run_marks, why_no_run_id


@pytest.fixture
def place(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def adapted(key: str, version: str = "v", fingerprint: str = "f") -> Outcome:
    return Outcome(user_key=key, status=Status.adapted, version=version, fingerprint=fingerprint)


def killed(place: Store, run_id: str, *parts: list[Outcome], planned: Sequence[str] = "") -> None:
    """A run that wrote its mark, its plan and these parts."""
    import pyarrow as pa

    open_run(place, run_id)
    if planned:
        place.write_table(
            plan_uri(place, run_id), pa.table({"user_key": list(planned), "change": ["new"] * len(planned)})
        )
    for number, part in enumerate(parts):
        write_part(place, run_id, f"{number:06d}", part)


def damage(place: Store, uri: str, content: bytes = b"\0damaged") -> None:
    assert place.exists(uri)
    place.write_bytes(uri, content)


def fingerprints(place: Store) -> dict[str, str]:
    return {key: row.fingerprint for key, row in read_index(place).items()}


def test_a_damaged_part_is_set_aside_and_its_users_are_planned_again(place: Store) -> None:
    close_run(place, "before", [adapted(key, "old", "f-old") for key in "abcd"])
    killed(place, "killed", [adapted("a", "new")], [adapted("b", "new")], planned="abc")
    uri, aside = outcomes_part_uri(place, "killed", "000001"), list[str]()
    damage(place, uri)
    assert recover_runs(place, aside) == ["killed"]
    assert {key: row.fingerprint for key, row in read_index(place).items()} == {
        "a": "f",
        "b": "",
        "c": "",
        "d": "f-old",
    }
    (line,) = aside
    assert line.startswith(f"{uri}: not a readable Parquet table")
    assert not place.exists(uri)
    (kept,) = place.list_objects(f"{place.root_uri}/aside", recursive=True)
    assert kept.uri in line
    assert place.read_bytes(kept.uri) == b"\0damaged"
    assert recover_runs(place) == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"run_id": "other", "order": 1}', b'{"run_id": 3, "order": "x"}']
)
def test_a_damaged_mark_is_set_aside_and_its_run_taken_over(place: Store, content: bytes) -> None:
    killed(place, "killed", [adapted("a", "new")])
    damage(place, run_mark_uri(place, "killed"), content)
    aside = list[str]()
    assert recover_runs(place, aside) == ["killed"]
    assert read_index(place)["a"].version == "new"
    assert len(aside) == 1
    assert run_marks(place) == []


def test_damage_of_one_run_stops_no_other(place: Store) -> None:
    killed(place, "first", [adapted("a", "a1")], planned="ax")
    killed(place, "second", [adapted("b", "b1")])
    damage(place, run_mark_uri(place, "first"))
    damage(place, plan_uri(place, "first"))
    damage(place, outcomes_part_uri(place, "second", "000000"), b"")
    aside = list[str]()
    assert sorted(recover_runs(place, aside)) == ["first", "second"]
    assert list(read_index(place)) == ["a"]
    assert len(aside) == 3


def test_a_table_of_something_else_is_no_part(place: Store) -> None:
    import pyarrow as pa

    killed(place, "killed", [adapted("a")])
    for table in (pa.table({"x": [1]}), pa.table({"user_key": ["a"], "status": ["nonsense"]})):
        place.write_table(outcomes_part_uri(place, "killed", "000000"), table)
        assert read_outcomes(place, "killed", aside=[]) == []
        place.write_table(outcomes_part_uri(place, "killed", "000000"), table)
        assert read_part(place, "killed", "000000") == []
        assert read_part(place, "killed", "000000") is None


def test_marks_of_ids_with_slashes_are_found(place: Store) -> None:
    """Earlier releases let a run have them."""
    place.write_json(run_mark_uri(place, "night/7"), {"run_id": "night/7", "order": 1})
    write_part(place, "night/7", "000000", [adapted("a", "new")])
    assert recover_runs(place) == ["night/7"]
    assert read_index(place)["a"].run_id == "night/7"
    assert run_marks(place) == []


def test_a_mark_leads_nowhere_else(place: Store) -> None:
    place.write_json(run_mark_uri(place, "innocent"), {"run_id": "../../x", "order": 1})
    assert recover_runs(place) == ["innocent"]


@pytest.mark.parametrize(
    "run_id", ["night/7", "../../x", "..", ".", ".hidden", "a b", "a\tb", "a\0", "\n", " ", "x" * 101, "ü", "a\\b", "*"]
)
def test_what_is_no_run_id(run_id: str) -> None:
    assert why_no_run_id(run_id)


@pytest.mark.parametrize("run_id", ["night", "2026-11-27_a.1", "20261127-080000-1a2b3c", "x" * 100])
def test_what_is_a_run_id(run_id: str) -> None:
    assert why_no_run_id(run_id) == ""


def publish(place: Store, key: str, weights: bytes, run_id: str = "run") -> str:
    pointer = publish_adapter(
        place, key, weights, base_fingerprint="base", data_fingerprint="data", adapter={}, run_id=run_id,
        error_before=0.5, error_after=0.25,
    )  # fmt: skip
    return pointer.version


def _hide(place: Store) -> None:
    """The pointer is that of before the last publication, as a late writer leaves it."""
    uri = pointer_uri(place, "kim")
    place.delete(uri)
    publish(place, "kim", b"of another run")


WRONG: dict[str, Callable[[Store], object]] = {
    "hidden": _hide,
    "missing": lambda place: place.delete(pointer_uri(place, "kim")),
    "damaged": lambda place: damage(place, pointer_uri(place, "kim")),
}


@pytest.mark.parametrize("go_wrong", WRONG.values(), ids=WRONG)
def test_a_pointer_that_does_not_know_the_index_s_version_is_healed(
    place: Store, go_wrong: Callable[[Store], object]
) -> None:
    versions = {key: publish(place, key, key.encode()) for key in ("ann", "kim")}
    close_run(place, "run", [adapted(key, version) for key, version in versions.items()])
    assert heal_index(place) == disagreements(place, versions) == {}
    go_wrong(place)
    assert list(disagreements(place, versions)) == ["kim"]
    assert list(heal_index(place, sample=None)) == ["kim"]
    assert fingerprints(place) == {"ann": "f", "kim": ""}
    assert heal_index(place, sample=None) == {}  # planned already


def test_a_rollback_is_no_damage(place: Store) -> None:
    first, second = publish(place, "kim", b"first"), publish(place, "kim", b"second")
    close_run(place, "run", [adapted("kim", second)])
    rollback(place, "kim", first)
    assert heal_index(place) == {}


def test_a_sample_is_looked_at(place: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {f"user-{number:03d}": publish(place, f"user-{number:03d}", b"x") for number in range(30)}
    close_run(place, "run", [adapted(key, version) for key, version in versions.items()])
    for key in versions:
        place.delete(pointer_uri(place, key))
    read = list[str]()
    monkeypatch.setattr(storage, "read_bytes", _counting(read))
    assert len(heal_index(place, sample=5)) == 5
    assert len([uri for uri in read if uri.endswith("current.json")]) == 5


def _counting(read: list[str]) -> Callable[..., bytes]:
    plain = storage.read_bytes

    def read_bytes(uri: str, *rest: object) -> bytes:
        read.append(uri)
        return plain(uri, *rest)  # type: ignore[arg-type]

    return read_bytes


def test_a_user_published_without_an_outcome_is_done(place: Store) -> None:
    """Killed between publishing and the part: the pointer tells, and nobody is trained a second time."""
    close_run(place, "before", [adapted("a", "old", "f-old"), adapted("b", "old", "f-old")])
    killed(place, "run", [adapted("c", "new")], planned="abcd")
    version = publish(place, "a", b"of this run")
    publish(place, "b", b"of another run", run_id="before")
    publish(place, "d", b"damaged")
    damage(place, pointer_uri(place, "d"))
    assert recover_runs(place) == ["run"]
    assert fingerprints(place) == {"a": "data", "b": "", "c": "f"}
    assert read_index(place)["a"].version == version
    outcomes = {outcome.user_key: outcome for outcome in read_outcomes(place, "run")}
    assert sorted(outcomes) == ["a", "c"]
    assert (outcomes["a"].status, outcomes["a"].version, outcomes["a"].error_after) == (Status.adapted, version, 0.25)
    assert recover_runs(place) == []


def test_a_recovery_that_was_killed_finds_the_same_again(place: Store) -> None:
    killed(place, "run", planned="ab")
    publish(place, "a", b"of this run")
    mark = place.read_bytes(run_mark_uri(place, "run"))
    recover_runs(place)
    before = read_index(place)
    place.write_bytes(run_mark_uri(place, "run"), mark)  # killed before the mark was removed
    assert recover_runs(place) == ["run"]
    assert read_index(place) == before
    assert [outcome.user_key for outcome in read_outcomes(place, "run")] == ["a"]


def test_a_version_that_a_rollback_brought_back_is_no_work_of_the_killed_run(place: Store) -> None:
    first = publish(place, "kim", b"first")
    publish(place, "kim", b"second", run_id="later")
    rollback(place, "kim", first)
    killed(place, "run", planned=["kim"])
    recover_runs(place)
    assert read_outcomes(place, "run") == []


def test_the_lease_is_renewed_while_pointers_are_read(place: Store) -> None:
    killed(place, "run", planned="ab")
    calls = list[int]()
    recover_runs(place, stay=lambda: calls.append(1))
    assert calls
