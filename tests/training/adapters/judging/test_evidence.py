"""Evidence of held-out utterances: exact numbers, and what holds for any."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray.config import ErrorMetric
from ds2ray.metrics import ErrorCount, Score
from ds2ray.training.adapters.judging.evidence import PRIOR_HARM, gains, probability_of_improvement, student_cdf
from ds2ray.training.adapters.judging.results import Judged

WER = ErrorMetric.wer


def judged(*rows: tuple[float, int, int]) -> list[Judged]:
    """Utterances by their loss, word errors and words; of characters there are five times as many, and no errors."""
    return [
        Judged(row, loss, Score(ErrorCount(errors, 0, 0, words), ErrorCount(0, 0, 0, 5 * words)))
        for row, (loss, errors, words) in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("t", "degrees", "probability"),
    # tables of Student's distribution, as in Abramowitz and Stegun, table 26.10
    [
        (6.314, 1, 0.95), (2.920, 2, 0.95), (2.353, 3, 0.95), (2.132, 4, 0.95), (1.796, 11, 0.95),
        (3.078, 1, 0.90), (1.886, 2, 0.90), (1.697, 30, 0.95), (-2.132, 4, 0.05), (2.567, 17, 0.99),
    ],
)  # fmt: skip
def test_students_distribution(t: float, degrees: int, probability: float) -> None:
    assert student_cdf(t, degrees) == pytest.approx(probability, abs=1e-4)


@given(st.floats(-50, 50), st.integers(1, 200))
def test_students_distribution_is_symmetric_and_rises(t: float, degrees: int) -> None:
    assert student_cdf(t, degrees) + student_cdf(-t, degrees) == pytest.approx(1.0)
    assert -1e-12 <= student_cdf(t, degrees) <= student_cdf(t + 0.1, degrees) + 1e-12


def test_gains_are_the_mean_of_counted_errors_and_of_errors_by_loss() -> None:
    before = judged((2.0, 3, 10), (1.0, 1, 10))
    after = judged((1.0, 1, 10), (1.0, 2, 10))
    # 4 errors and a half in a loss of 2 × 10 + 1 × 10
    assert gains(before, after, WER) == pytest.approx([(2 + 10 * 4.5 / 30) / 2, -1 / 2])
    assert gains(before, after, ErrorMetric.cer) == pytest.approx([50 * 0.5 / 150 / 2, 0.0])


def test_the_probability_of_an_improvement() -> None:
    # gains of 1.625 and of 1 error, and the prior's of -0.5
    before, after = judged((2.0, 3, 10), (2.0, 3, 10)), judged((1.0, 1, 10), (1.0, 2, 10))
    saved = [(2 + 6.5 / 4) / 2, (1 + 6.5 / 4) / 2, -10 * PRIOR_HARM]
    mean = sum(saved) / 3
    deviation = math.sqrt(sum((one - mean) ** 2 for one in saved) / 2)
    t = mean * math.sqrt(3) / deviation
    assert probability_of_improvement(before, after, WER) == pytest.approx(0.5 + t / (2 * math.sqrt(2 + t * t)))


def test_one_utterance_says_little_and_many_say_much() -> None:
    def probability(count: int) -> float | None:
        return probability_of_improvement(judged(*[(2.0, 2, 10)] * count), judged(*[(1.5, 1, 10)] * count), WER)

    found = [probability(count) for count in (1, 2, 4, 8, 16)]
    assert found == sorted(found, key=lambda one: one or 0.0)
    assert found[0] is not None
    assert 0.5 < found[0] < 0.8
    assert found[-1] is not None
    assert found[-1] > 0.99


def test_where_the_base_errs_little_as_much_of_the_loss_says_less() -> None:
    """Half of the loss is gone on each of three utterances, and no word has changed."""
    few = probability_of_improvement(judged(*[(2.0, 0, 10)] * 3), judged(*[(1.0, 0, 10)] * 3), WER)
    many = probability_of_improvement(judged(*[(2.0, 6, 10)] * 3), judged(*[(1.0, 6, 10)] * 3), WER)
    assert few is not None
    assert many is not None
    assert few < 0.3 < 0.9 < many


def test_without_harm_in_the_prior_what_is_as_often_better_as_worse_is_even() -> None:
    before, after = judged((1.0, 3, 10), (1.0, 1, 10)), judged((1.0, 1, 10), (1.0, 3, 10))
    assert probability_of_improvement(before, after, WER, prior_harm=0.0) == pytest.approx(0.5)
    with_harm = probability_of_improvement(before, after, WER)
    assert with_harm is not None
    assert with_harm < 0.5


def test_what_is_no_improvement() -> None:
    same = judged((1.0, 1, 5), (2.0, 2, 5))
    unchanged = probability_of_improvement(same, same, WER)
    assert unchanged is not None
    assert unchanged < 0.25
    for loss in (math.nan, math.inf):
        assert probability_of_improvement(same, judged((loss, 0, 5), (1.0, 0, 5)), WER) == 0.0
    assert probability_of_improvement([], [], WER) is None


def test_a_silent_utterance_without_words_is_evidence_like_any_other() -> None:
    found = probability_of_improvement(judged((0.0, 0, 0)), judged((0.0, 3, 0)), WER)
    assert found is not None
    assert found < 0.3


def test_pairs_of_other_utterances_are_refused() -> None:
    with pytest.raises(ValueError, match="not the same"):
        gains(judged((1.0, 0, 5)), [], WER)


utterances = st.lists(
    st.tuples(st.floats(0, 20), st.floats(0, 20), st.integers(0, 12), st.integers(0, 12), st.integers(0, 10)),
    min_size=1,
    max_size=30,
)


@given(utterances)
def test_a_probability_is_one_whatever_was_heard(rows: Sequence[tuple[float, float, int, int, int]]) -> None:
    before = judged(*((loss, errors, words) for loss, _, errors, _, words in rows))
    after = judged(*((loss, errors, words) for _, loss, _, errors, words in rows))
    found = probability_of_improvement(before, after, WER)
    assert found is not None
    assert -1e-12 <= found <= 1 + 1e-12
    assert found == probability_of_improvement(before, after, WER)
    order = list(range(len(rows)))[::-1]
    turned = probability_of_improvement([before[row] for row in order], [after[row] for row in order], WER)
    assert turned == pytest.approx(found, abs=1e-9)
