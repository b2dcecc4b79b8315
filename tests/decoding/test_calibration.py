"""Calibration: the map never falls and suits the words that it was fitted on; its error is that of the definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray.decoding.calibration import MIN_WORDS, Calibration, expected_error, fit

Row = list[tuple[float, bool]]
SCORES = st.floats(-80.0, 0.0)
WORDS = st.lists(st.tuples(SCORES, st.booleans()), min_size=MIN_WORDS, max_size=80)


def drawn(slope: float, intercept: float, num_words: int = 4000) -> list[Row]:
    """Words that are right as often as a known map says, four in each utterance."""
    rng = np.random.default_rng(0)
    scores = np.log(rng.uniform(0.02, 0.999, num_words))
    known = Calibration(slope, intercept)
    words = [(score, bool(rng.random() < known(score))) for score in scores.tolist()]
    return [words[n : n + 4] for n in range(0, num_words, 4)]


def test_slope_1_and_intercept_0_are_the_probability_of_the_base() -> None:
    assert [Calibration(1.0, 0.0)(math.log(p)) for p in (0.1, 0.5, 0.9)] == pytest.approx([0.1, 0.5, 0.9])


def test_a_known_map_is_found_again() -> None:
    found = fit(drawn(0.5, -1.0))
    assert found is not None
    assert (found.slope, found.intercept) == (pytest.approx(0.5, abs=0.05), pytest.approx(-1.0, abs=0.1))
    assert found.num_words == 4000
    assert found.error < 0.02
    assert found.error_before > 0.15


def test_the_expected_error_by_hand() -> None:
    """Three bins: 0.9 and 0.91 with one of two right, 0.2 with one wrong, 1.0 with one right."""
    error = expected_error(np.array([0.9, 0.91, 0.2, 1.0]), np.array([True, False, False, True]))
    assert error == pytest.approx((abs(1.81 - 1) + 0.2 + 0.0) / 4)
    assert expected_error(np.zeros(0), np.zeros(0, bool)) == 0.0


def test_too_few_words_calibrate_nothing() -> None:
    assert fit([[(-0.1, True)]] * (MIN_WORDS - 1)) is None
    assert fit([]) is None


def test_words_that_are_all_right_make_none_certain() -> None:
    found = fit([[(-0.01, True)]] * 100)
    assert found is not None
    assert 0.97 < found(-0.01) < 1.0
    assert found(-3.0) < found(-0.01)


def test_scores_that_mislead_do_not_turn_the_map_round() -> None:
    found = fit([[(-4.0, True), (-0.01, False)]] * 100)
    assert found is not None
    assert found.slope == 0.0
    assert found(-4.0) == found(-0.01) == pytest.approx(0.5, abs=0.01)


@given(WORDS, SCORES, SCORES)
def test_probabilities_never_fall_with_the_score(words: Row, one: float, other: float) -> None:
    found = fit([[word] for word in words])
    assert found is not None
    low, high = sorted((one, other))
    assert 0.0 <= found(low) <= found(high) <= 1.0
    assert 0.0 <= found.error <= 1.0
