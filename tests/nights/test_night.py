"""When a run was last complete, and what a run has spent."""

from typing import Any

from ds2ray import storage
from ds2ray.nights.night import last_good_s
from ds2ray.nights.spent import Spent, training_s
from ds2ray.storage import Traffic


def test_the_last_good_run_is_the_newest_that_ended_with_0_and_tells_when() -> None:
    runs: list[dict[str, Any]] = [
        {"exit_code": 6, "ended": "2026-11-03 02:00:00 UTC"},
        {"exit_code": 0},  # of an early release
        {"exit_code": 0, "ended": "1970-01-02 00:00:01 UTC"},
        {"exit_code": 0, "ended": "1970-01-01 00:00:00 UTC"},
    ]
    assert last_good_s(runs) == 86_401
    assert last_good_s(runs[:2]) is last_good_s([]) is None


def test_seconds_of_training_are_those_of_the_canary_too() -> None:
    assert training_s({"stages": {"planning": 5.0, "canary": 2.0, "training": 30.0}}) == 32.0
    assert training_s({"stages": {"planning": 5.0}}) == training_s({}) == 0.0


def test_a_run_has_asked_what_its_trials_have_and_itself_since_it_began() -> None:
    storage.write_bytes("memory://spent/before", b"12345")
    spent = Spent()
    storage.write_bytes("memory://spent/a", b"123")
    spent.of_trials += Traffic(requests=10, written_bytes=100)
    document = spent.document()
    assert spent.traffic.written_bytes == 103
    assert document["traffic"] == vars(spent.traffic)
    assert document["traffic_of_trials"] == {"requests": 10, "retries": 0, "read_bytes": 0, "written_bytes": 100}


def test_the_stage_that_is_under_way_counts_as_it_stands() -> None:
    spent = Spent()
    assert spent.stages_so_far() == {}
    spent.begin("planning")
    spent.begin("training")
    assert list(spent.stages_so_far()) == ["planning", "training"]
    assert min(spent.stages_so_far().values()) >= 0
