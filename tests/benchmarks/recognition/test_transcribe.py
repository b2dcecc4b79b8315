"""The benchmark runs, and what it counts is right; how fast recognition is, it says itself."""

import pytest

from benchmarks.recognition import transcribe

OVER = {"default": 1.1, "demo": 1.1}
CACHE = {"cache_memory_mb": 40.0, "cache_growth_mb": 1.0, "load_ms_first": 1.0, "load_ms_last": 1.1}


def test_every_way_is_measured_in_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(transcribe.SHAPES, "default", transcribe.SHAPES["demo"])
    speeds = transcribe.compare_ways("default", rows=2, turns=1)
    assert tuple(speeds) == transcribe.WAYS
    assert min(speeds.values()) > 0


def test_cold_adapters_are_read_from_the_server(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(transcribe.SHAPES, "default", transcribe.SHAPES["demo"])
    monkeypatch.setattr(transcribe, "COLD_USERS", 3)
    monkeypatch.setattr(transcribe, "COLD_TURNS", 1)
    assert all(milliseconds > 0 for milliseconds in transcribe.cold_adapters(s3_root).values())


def test_more_users_than_are_kept_pass_the_cache() -> None:
    found = transcribe.pass_cache(users=5, max_open=2)
    assert (found["cache_users"], found["cache_open"]) == (5, 2)


@pytest.mark.parametrize(
    ("over", "cache", "missed"),
    [
        ({}, {}, []),
        ({"demo": 1.16}, {}, ["mixed_over_base demo"]),
        ({}, {"cache_growth_mb": 10.5}, ["cache_growth_mb"]),
        ({}, {"load_ms_last": 1.3}, ["load_ms_last"]),
    ],
)
def test_missed_bars_are_named(over: dict[str, float], cache: dict[str, float], missed: list[str]) -> None:
    assert transcribe.falls_short({**OVER, **over}, {**CACHE, **cache}) == missed
