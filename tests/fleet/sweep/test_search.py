"""The order in which points are tried, and a search that goes on where it was stopped."""

import importlib.util
from typing import Any

import pytest
from sweeping import Bench, points_of

from ds2ray.config import ErrorMetric, Search, SweepConfig
from ds2ray.errors import ConfigError
from ds2ray.fleet.sweep.driving import Driver
from ds2ray.fleet.sweep.search import Course, course_of, halving_stages

WIDTHS = range(1, 25)


def course(search: Search = Search.grid, seed: int = 0, **settings: Any) -> Course:
    return course_of(SweepConfig(search=search, **settings), points_of(*WIDTHS), ErrorMetric.wer, seed)


def worked_off(bench: Bench, course: Course) -> list[tuple[int, int]]:
    """The widths and epochs of all trials, in the search's order."""
    tried = Driver(course, "sample", bench.known, bench.run, bench.keep).work_off()
    assert len(tried) == course.num_trials
    assert [one.trial_id for _, one in tried] == [trial.trial_id("sample") for trial, _ in tried]
    return [(trial.point.adapter.hidden_dims[0], trial.point.adapt.num_epochs) for trial, _ in tried]


def test_a_grid_tries_everything() -> None:
    bench = Bench()
    assert worked_off(bench, course()) == [(width, 20) for width in WIDTHS]
    assert course().num_epochs == 24 * 20


def test_random_tries_some_and_the_seed_says_which() -> None:
    first = worked_off(Bench(), course(Search.random, num_trials=5))
    assert len(set(first)) == 5
    assert worked_off(Bench(), course(Search.random, num_trials=5)) == first
    assert worked_off(Bench(), course(Search.random, num_trials=5, seed=1)) != first
    assert len(worked_off(Bench(), course(Search.random, num_trials=99))) == 24


def test_by_halves_the_best_go_on_for_longer() -> None:
    tried = worked_off(Bench(best_width=20), course(halving=3))
    assert tried[:24] == [(width, 2) for width in WIDTHS]
    assert sorted(tried[24:32]) == [(width, 7) for width in range(16, 24)]
    assert sorted(tried[32:]) == [(19, 20), (20, 20), (21, 20)]
    assert course(halving=3).num_epochs == round((24 / 9 + 8 / 3 + 3) * 20)


def test_a_failed_trial_does_not_go_on() -> None:
    tried = worked_off(Bench(best_width=20, failing=[20]), course(halving=3))
    assert 20 not in {width for width, _ in tried[24:]}


@pytest.mark.parametrize(
    ("num_points", "rate", "num_epochs", "numbers"),
    [
        (24, 3, 20, [24, 8, 3]),
        (24, 1, 20, [24]),
        (24, 2, 20, [24, 12, 6, 3, 2]),
        (24, 3, 1, [24]),
        (2, 3, 20, [2]),
        (1, 2, 20, [1]),
        (3, 3, 3, [3, 1]),
        (1000, 10, 20, [1000, 100]),
    ],
)
def test_stages(num_points: int, rate: int, num_epochs: int, numbers: list[int]) -> None:
    stages = halving_stages(num_points, rate, num_epochs)
    assert [number for number, _ in stages] == numbers
    assert stages[-1][1] == 1
    assert num_epochs * stages[0][1] >= 1


@pytest.mark.parametrize("after", [0, 1, 10, 24, 30, 34])
def test_what_is_finished_is_not_run_again(after: int) -> None:
    whole, stopped = Bench(20), Bench(20)
    expected = worked_off(whole, course(halving=3))
    run = stopped.run

    def until(points: Any) -> Any:
        for number, one in enumerate(run(points)):
            if len(stopped.kept) == after:
                raise KeyboardInterrupt
            assert number < 24
            yield one

    stopped.run = until  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        worked_off(stopped, course(halving=3))
    stopped.run, stopped.ran = run, []  # type: ignore[method-assign]
    assert worked_off(stopped, course(halving=3)) == expected
    assert len(stopped.ran) == 35 - after
    assert stopped.kept == whole.kept


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"ds2ray\[search\]"):
        course(Search.optuna)


@pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="Optuna, an extra, is not installed")
class TestOptuna:
    def test_it_looks_where_errors_are_few_and_tries_nothing_twice(self) -> None:
        tried = worked_off(Bench(best_width=3), course(Search.optuna, num_trials=16))
        assert len(set(tried)) == 16

    def test_it_goes_the_same_way_again(self) -> None:
        bench = Bench(best_width=3)
        first = worked_off(bench, course(Search.optuna, num_trials=10))
        bench.kept = dict(list(bench.kept.items())[:6])
        bench.ran = []
        assert worked_off(bench, course(Search.optuna, num_trials=10)) == first
        assert len(bench.ran) == 4

    def test_failures_do_not_stop_it(self) -> None:
        tried = worked_off(Bench(failing=WIDTHS), course(Search.optuna, num_trials=99))
        assert sorted(width for width, _ in tried) == list(WIDTHS)
