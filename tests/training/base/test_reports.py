"""Lines of progress, and what epochs are compared by."""

import math
from dataclasses import replace

from ds2ray.config import ErrorMetric
from ds2ray.training.base.reports import EpochReport, Progress, StepSums

PROGRESS = Progress(
    step=70,
    epoch=2,
    num_epochs=20,
    step_of_epoch=30,
    steps_of_epoch=40,
    loss=1.23456,
    learning_rate=1e-3,
    speech_per_time=310.4,
    padding_share=0.042,
    data_wait_share=0.013,
    step_s=0.3123,
    eta_s=8100.0,
    bad_steps=0,
)
REPORT = EpochReport(
    epoch=2,
    num_epochs=20,
    train_loss=1.5,
    valid_loss=2.5,
    wer=0.4,
    cer=0.1,
    learning_rate=1e-3,
    speech_s=1000.0,
    seconds=10.0,
    padding_share=0.05,
    bad_steps=0,
    unreadable=0,
)


def test_a_line_of_progress() -> None:
    assert PROGRESS.line() == (
        "epoch 2/20 · step 30/40 · loss 1.235 · 310 h of speech per hour · padding 4.2% · waiting for data 1.3% · "
        "0.312 s per step · eta 2h15m"
    )
    assert replace(PROGRESS, bad_steps=3).line().endswith(" · eta 2h15m · 3 bad steps")


def test_curves_are_of_finite_numbers() -> None:
    assert set(PROGRESS.metrics()) - set(replace(PROGRESS, loss=math.nan).metrics()) == {"loss"}
    assert PROGRESS.metrics()["bad_steps"] == 0


def test_an_epochs_line_has_the_error_that_counts_first() -> None:
    assert " · WER 40.0% · CER 10.0% · 100 h of speech per hour · " in REPORT.line()
    assert " · CER 10.0% · WER 40.0% · " in REPORT.line(ErrorMetric.cer)


def test_epochs_are_compared_by_error_and_then_by_loss() -> None:
    better_cer = replace(REPORT, cer=0.05, valid_loss=9.0)
    assert better_cer.error(ErrorMetric.cer) < REPORT.error(ErrorMetric.cer)
    assert REPORT.error(ErrorMetric.wer) < better_cer.error(ErrorMetric.wer)
    assert REPORT.error(ErrorMetric.wer) < replace(REPORT, valid_loss=math.nan).error(ErrorMetric.wer)


def test_sums_of_nothing() -> None:
    assert math.isnan(StepSums().mean_loss())
    assert StepSums().padding_share() == 0.0
    sums = StepSums.of([1, 2, 3, 4, 5, 6, 7])
    sums += StepSums.of([1, 1, 1, 1, 1, 1, 1])
    assert sums == StepSums.of([2, 3, 4, 5, 6, 7, 8])
