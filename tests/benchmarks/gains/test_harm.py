"""The figures of gates: who is harmed, who is refused, and what a gate that knew the test would make of it."""

from dataclasses import replace

import pytest

from benchmarks.gains.harm_work import Adaptation, falls_short, figures

SENTENCES = 20
SAME = Adaptation("demo known", "ann", 1.0, True, 0.95, (10,) * SENTENCES, (2,) * SENTENCES, (2,) * SENTENCES)
BETTER = replace(SAME, user_id="bob", adapter=(1,) * SENTENCES)
WORSE = replace(SAME, user_id="cleo", improvement=0.6, adapter=(3,) * SENTENCES)
UNLUCKY = replace(SAME, user_id="dan", adapter=(3, *(2,) * (SENTENCES - 1)))
ALL = [SAME, BETTER, WORSE, UNLUCKY]


def test_a_gate_without_confidence_publishes_what_is_no_worse() -> None:
    found = figures([*ALL, replace(WORSE, no_worse=False)], 0.0)
    assert (found["adaptations"], found["published"], found["harmed"], found["harmed_beyond_chance"]) == (5, 4, 2, 1)
    assert (found["would_gain"], found["wrongly_refused"]) == (1, 0)
    assert found["worst_points"] == pytest.approx(10.0)
    assert falls_short(found) == ["harmed_beyond_chance 1, at most 0.05", "worst_points 10, at most 2"]


def test_a_gate_with_confidence_keeps_the_harm_back() -> None:
    found = figures(ALL, 0.9)
    assert (found["published"], found["harmed"], found["harmed_beyond_chance"]) == (3, 1, 0)
    assert found["worst_points"] == pytest.approx(0.5)
    assert found["base_wer"] == pytest.approx(20.0)
    assert found["mean_wer"] == pytest.approx(20.0 + (0.5 - 10.0) / 4)
    assert found["oracle_wer"] == pytest.approx(20.0 - 10.0 / 4)
    assert falls_short(found) == []


def test_who_would_gain_and_is_refused_is_told() -> None:
    found = figures(ALL, 0.99)
    assert (found["published"], found["wrongly_refused"], found["mean_wer"]) == (0, 1, found["base_wer"])
    assert falls_short(found) == ["wrongly_refused 1, at most 0.1"]


def test_points_of_few_words_are_not_told() -> None:
    few = replace(WORSE, words=(4,) * SENTENCES)
    assert figures([few], 0.0)["worst_points"] == 0.0
