"""Percentiles, bins and what lies far outside."""

import numpy as np
import pytest

from ds2ray.training.data_report.spread import Spread, far_out, rank_correlation


def test_bins_hold_every_value_once() -> None:
    spread = Spread.of(np.arange(1.0, 102.0))
    assert spread is not None
    assert (spread.lowest, spread.low, spread.median, spread.high, spread.highest) == (1, 6, 51, 96, 101)
    assert [each.count for each in spread.bins] == [10] * 9 + [11]
    assert spread.bins[-1].share == 1


def test_values_that_are_all_alike_have_one_bin() -> None:
    spread = Spread.of([2.0, 2.0])
    assert spread is not None
    assert [each.count for each in spread.bins] == [2]
    assert Spread.of([]) is None


def test_what_is_far_out_is_found_the_farthest_first() -> None:
    values = np.exp(np.random.default_rng(0).normal(1, 0.3, 2000))
    assert list(far_out(values)) == []
    assert list(far_out(np.append(values, [100.0, 0.001]))) == [2001, 2000]


@pytest.mark.parametrize("values", [[], [1.0], [1.0] * 50 + [1.05]])
def test_what_hardly_varies_has_nothing_far_out(values: list[float]) -> None:
    assert list(far_out(np.array(values))) == []


def test_one_among_equals_is_far_out() -> None:
    assert list(far_out(np.array([1.0] * 50 + [3.0]))) == [50]


def test_ranks_correlate_whatever_the_scale() -> None:
    first = np.array([1.0, 2.0, 2.0, 9.0])
    assert rank_correlation(first, np.exp(first)) == pytest.approx(1)
    assert rank_correlation(first, -first) == pytest.approx(-1)
    assert np.isnan(rank_correlation(first, np.ones(4)))
    assert np.isnan(rank_correlation(np.array([]), np.array([])))
