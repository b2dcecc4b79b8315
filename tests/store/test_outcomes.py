from dataclasses import fields
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray import storage
from ds2ray.store import Store, outcomes
from ds2ray.store.outcomes import Outcome, Status


@pytest.fixture(params=["path", pytest.param("s3", marks=pytest.mark.s3)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path) if request.param == "path" else request.getfixturevalue("s3_root"))


FULL = Outcome(
    user_key="john",
    status=Status.adapted,
    reason="held-out error fell",
    attempts=2,
    seconds=1.25,
    utterances_used=40,
    utterances_dropped=3,
    error_before=0.5,
    error_after=0.125,
    version="a" * 16,
    sha256="a" * 64,
    fingerprint="f" * 32,
    improvement=0.97,
    error_current=0.25,
    anchor_error_before=0.05,
    anchor_error_after=0.0625,
)


def test_a_part_comes_back(place: Store) -> None:
    rows = [FULL, Outcome(user_key="홍길동", status=Status.failed, reason="loss is not finite")]
    outcomes.write_part(place, "run", "000001-0000", rows)
    assert outcomes.read_part(place, "run", "000001-0000") == rows
    assert outcomes.read_part(place, "run", "000001-0001") is None
    table = storage.read_table(storage.join(place.root_uri, "runs", "run", "outcomes", "000001-0000.parquet"))
    assert table.column_names == [field.name for field in fields(Outcome)]
    assert table.column("status").to_pylist() == ["adapted", "failed"]


def test_an_empty_part_comes_back(place: Store) -> None:
    outcomes.write_part(place, "run", "empty", [])
    assert outcomes.read_part(place, "run", "empty") == []
    assert outcomes.read_outcomes(place, "run") == []


def test_a_run_without_outcomes(place: Store) -> None:
    assert outcomes.read_outcomes(place, "run") == []


def test_each_user_is_there_once_and_the_last_attempt_counts(place: Store) -> None:
    def row(key: str, attempts: int, reason: str) -> Outcome:
        return Outcome(user_key=key, status=Status.adapted, attempts=attempts, reason=reason)

    outcomes.write_part(place, "run", "000000-0000", [row("a", 2, "second"), row("c", 1, "only"), row("b", 1, "early")])
    outcomes.write_part(place, "run", "000000-0001", [row("a", 1, "first"), row("b", 1, "late")])
    outcomes.write_part(place, "other", "000000-0000", [row("a", 9, "other run")])
    found = outcomes.read_outcomes(place, "run")
    assert [(outcome.user_key, outcome.reason) for outcome in found] == [("a", "second"), ("b", "late"), ("c", "only")]


@given(st.lists(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 3))), max_size=4))
def test_rows_are_the_unique_users(parts: list[list[tuple[str, int]]]) -> None:
    place = Store("memory://unique-users")
    for info in storage.list_objects(place.root_uri, recursive=True):
        storage.delete(info.uri)
    for number, part in enumerate(parts):
        rows = [Outcome(user_key=key, status=Status.adapted, attempts=attempts) for key, attempts in part]
        outcomes.write_part(place, "run", str(number), rows)
    found = outcomes.read_outcomes(place, "run")
    assert [outcome.user_key for outcome in found] == sorted({key for part in parts for key, _ in part})
    for outcome in found:
        assert outcome.attempts == max(n for part in parts for key, n in part if key == outcome.user_key)


def test_unchanged_users_are_rows_without_having_been_objects(place: Store) -> None:
    unchanged = pa.table(
        {"user_key": ["x", "a"], "fingerprint": ["fx", "fa"], "num_dropped": [2, 0], "speech_s": [1, 1]}
    )
    outcomes.write_part(place, "run", "settled", [FULL], unchanged)
    assert outcomes.read_outcomes(place, "run") == [
        Outcome(user_key="a", status=Status.unchanged, attempts=0, fingerprint="fa"),
        FULL,
        Outcome(user_key="x", status=Status.unchanged, attempts=0, fingerprint="fx", utterances_dropped=2),
    ]
    assert outcomes.read_outcomes(place, "run", with_unchanged=False) == [FULL]
