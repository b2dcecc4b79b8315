"""How sure words are against how often they were said."""

import pytest

from ds2ray.evaluation.reliability import Bin, reliability


def test_words_of_like_confidence_are_one_bin() -> None:
    words = [(0.81, True), (0.85, False), (1.0, True), (0.0, False), (1.2, True)]
    found = reliability(words, is_calibrated=True)
    assert found is not None
    first, middle, last = found.bins
    assert (first, last) == (Bin(0.0, 0.0, 1), Bin(1.0, 1.0, 2))
    assert (middle.confidence, middle.right, middle.num_words) == (pytest.approx(0.83), 0.5, 2)
    assert found.num_words == 5
    assert found.error == pytest.approx(0.33 * 2 / 5)  # of the two words in the middle, by hand


def test_no_words_have_no_reliability() -> None:
    assert reliability([], is_calibrated=False) is None
