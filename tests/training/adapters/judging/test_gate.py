"""The gate by itself: which adapters may be published, and what is said of the others."""

from dataclasses import replace

import pytest

from ds2ray.config import ErrorMetric
from ds2ray.metrics import ErrorCount, Score
from ds2ray.training.adapters.judging.gate import gate, improvement
from ds2ray.training.adapters.judging.results import AdapterFit, AnchorErrors, Judged


def score(word_errors: int, character_errors: int) -> Score:
    return Score(ErrorCount(word_errors, 0, 0, 10), ErrorCount(character_errors, 0, 0, 100))


FIT = AdapterFit(
    state={},
    epochs=5,
    bad_steps=0,
    loss_before=2.0,
    loss_after=1.0,
    score_before=score(5, 20),
    score_after=score(3, 30),
)


def test_an_adapter_that_errs_less_may_be_published() -> None:
    assert gate(FIT, None, ErrorMetric.wer) == ""


def test_equal_errors_are_no_worse() -> None:
    equal = replace(FIT, score_after=FIT.score_before)
    assert gate(equal, None, ErrorMetric.wer) == ""
    assert gate(equal, 0.5, ErrorMetric.wer) == ""


def test_the_metric_that_is_asked_for_decides() -> None:
    assert gate(FIT, None, ErrorMetric.cer) == "held-out CER 30.0% is worse than the base's 20.0%"


def test_the_current_adapter_must_not_be_better() -> None:
    assert gate(FIT, 0.3, ErrorMetric.wer) == ""
    assert gate(FIT, 0.2, ErrorMetric.wer) == "held-out WER 30.0% is worse than the current adapter's 20.0%"


@pytest.mark.parametrize("loss_after", [2.0, 2.5, float("nan"), float("inf")])
def test_a_loss_that_did_not_fall_is_refused(loss_after: float) -> None:
    said = gate(replace(FIT, loss_after=loss_after), None, ErrorMetric.wer)
    assert said == "training did not lower the held-out loss (2.000)"


def errors(words: int, characters: int) -> Score:
    return Score(ErrorCount(words, 0, 0, 100), ErrorCount(characters, 0, 0, 400))


@pytest.mark.parametrize(
    ("loss_after", "after", "current", "metric", "reason"),
    [
        (1.0, errors(10, 40), None, ErrorMetric.wer, ""),
        (1.0, errors(20, 40), None, ErrorMetric.wer, ""),  # no worse is enough
        (2.0, errors(10, 40), None, ErrorMetric.wer, "training did not lower the held-out loss (2.000)"),
        (1.0, errors(21, 40), None, ErrorMetric.wer, "held-out WER 21.0% is worse than the base's 20.0%"),
        (1.0, errors(21, 40), None, ErrorMetric.cer, ""),
        (1.0, errors(10, 84), None, ErrorMetric.cer, "held-out CER 21.0% is worse than the base's 20.0%"),
        (1.0, errors(10, 40), errors(10, 40), ErrorMetric.wer, ""),
        (1.0, errors(10, 40), errors(9, 80), ErrorMetric.wer, "worse than the current adapter's 9.0%"),
        (1.0, errors(10, 40), errors(9, 80), ErrorMetric.cer, ""),
    ],
)  # fmt: skip
def test_the_gate(loss_after: float, after: Score, current: Score | None, metric: ErrorMetric, reason: str) -> None:
    fit = AdapterFit({}, 3, 0, 2.0, loss_after, errors(20, 80), after)
    found = gate(fit, None if current is None else current.rate(metric), metric)
    assert (found == "") if reason == "" else (reason in found)


def judged(losses: float, word_errors: int, count: int) -> tuple[Judged, ...]:
    return tuple(Judged(row, losses, score(word_errors, 0)) for row in range(count))


def fit_of(count: int, word_errors_after: int) -> AdapterFit:
    """A fit whose adapter leaves half of the loss, and these errors of five in each utterance of ten words."""
    return replace(FIT, judged_before=judged(2.0, 5, count), judged_after=judged(1.0, word_errors_after, count))


def test_an_improvement_has_to_be_probable() -> None:
    likely, unlikely = fit_of(6, 4), fit_of(1, 4)
    for fit in (likely, unlikely):
        assert gate(fit, None, ErrorMetric.wer) == ""
    assert gate(likely, None, ErrorMetric.wer, 0.9) == ""
    assert improvement(unlikely, ErrorMetric.wer) == pytest.approx(0.7, abs=0.05)
    assert gate(unlikely, None, ErrorMetric.wer, 0.9) == (
        f"an improvement on the base is {improvement(unlikely, ErrorMetric.wer):.0%} likely, and adapt.gate_confidence "
        "asks for 90% (held-out utterances: 1)"
    )


def test_an_improvement_on_the_current_adapter_has_to_be_probable() -> None:
    fit, metric = fit_of(6, 2), ErrorMetric.wer
    worse, alike = judged(1.5, 3, 6), (*judged(1.0, 3, 3), *judged(1.0, 1, 6)[3:])
    for current in ((), worse):
        assert gate(fit, None, metric, 0.9, judged_current=current) == ""
    assert improvement(fit, metric, worse) == improvement(fit, metric)
    likely = improvement(fit, metric, alike)
    assert likely == pytest.approx(0.5)
    assert gate(fit, None, metric, 0.5, judged_current=alike) == ""
    assert gate(fit, None, metric, 0.6, judged_current=alike) == (
        "an improvement on the current adapter is 50% likely, and adapt.gate_confidence asks for 60% "
        "(held-out utterances: 6)"
    )


def test_what_an_adapter_costs_on_ordinary_speech_may_be_too_much() -> None:
    fit = replace(FIT, anchor=AnchorErrors(errors(3, 0), errors(8, 40)))
    assert gate(fit, None, ErrorMetric.wer) == ""
    assert gate(fit, None, ErrorMetric.wer, max_anchor_rise=0.051) == ""
    assert gate(fit, None, ErrorMetric.wer, max_anchor_rise=0.02) == (
        "ordinary speech: WER rises from 3.0% to 8.0% through the adapter, and adapt.max_anchor_rise allows 2.0%"
    )
    assert gate(fit, None, ErrorMetric.cer, max_anchor_rise=0.02).startswith("held-out CER")
    better = replace(fit, anchor=AnchorErrors(errors(8, 0), errors(3, 0)))
    assert gate(better, None, ErrorMetric.wer, max_anchor_rise=0.0) == ""


def test_without_utterances_there_is_no_probability() -> None:
    assert improvement(FIT, ErrorMetric.wer) is None
    assert gate(FIT, None, ErrorMetric.wer, 0.9) == ""
