import numpy as np
import pytest

from ds2ray import chance
from ds2ray.chance import RESAMPLES, Interval, drawn_sums, interval, p_value


def rates(values: np.ndarray) -> np.ndarray:
    return drawn_sums(values)[:, 0] / len(values)


@pytest.mark.parametrize(("num_rows", "share"), [(100, 0.5), (400, 0.1)])
def test_the_interval_of_a_share_is_that_of_its_normal_distribution(num_rows: int, share: float) -> None:
    rows = (np.arange(num_rows) < share * num_rows).astype(int)[:, None]
    found = interval(rates(rows))
    half = 1.96 * np.sqrt(share * (1 - share) / num_rows)
    assert found.low == pytest.approx(share - half, abs=0.01)
    assert found.high == pytest.approx(share + half, abs=0.01)


def test_columns_of_a_row_are_drawn_together() -> None:
    values = np.arange(20)
    sums = drawn_sums(np.stack([values, values, 3 * values], axis=1))
    assert sums.shape == (RESAMPLES, 3)
    assert (sums[:, 0] == sums[:, 1]).all()
    assert (sums[:, 2] == 3 * sums[:, 0]).all()
    assert len(set(sums[:, 0])) > 100


@pytest.mark.parametrize("at_once", [1, 7, 333, 1 << 20])
def test_what_is_drawn_does_not_depend_on_how_much_is_drawn_at_once(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.arange(13)[:, None]
    expected = drawn_sums(rows)
    monkeypatch.setattr(chance, "_DRAWN_AT_ONCE", at_once)
    assert (drawn_sums(rows) == expected).all()


def test_no_difference_is_none_and_a_rise_of_every_row_is_beyond_chance() -> None:
    none, all_rise = np.zeros(RESAMPLES), np.ones(RESAMPLES)
    assert p_value(none) == 1.0
    assert not interval(none).excludes_zero()
    assert p_value(all_rise) == pytest.approx(2 / (RESAMPLES + 1))
    assert p_value(-all_rise) == p_value(all_rise)
    assert interval(all_rise).excludes_zero()


@pytest.mark.parametrize(("low", "high", "beyond"), [(0.1, 0.2, True), (-2, -1, True), (-1, 1, False), (0, 1, False)])
def test_an_interval_with_zero_in_it_may_be_chance(low: float, high: float, beyond: bool) -> None:
    assert Interval(low, high).excludes_zero() == beyond


@pytest.mark.parametrize("fallen", [0, 4, 6, 10, 20])
def test_the_probability_and_the_interval_agree(fallen: int) -> None:
    changes = np.array([-1] * fallen + [1] * 4 + [0] * 16)[:, None]
    drawn = rates(changes)
    assert interval(drawn).excludes_zero() == (p_value(drawn) < chance.CHANCE)
