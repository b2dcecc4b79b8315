"""The doctor's findings, by small trainings that are broken and by one that is sound."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from base_training import make_task, train

from ds2ray.errors import TrainingDivergedError
from ds2ray.training.base.doctor.findings import Doctor
from ds2ray.training.base.reports import EpochReport, Progress
from ds2ray.training.base.task import BaseTask


def findings_of(task: BaseTask) -> list[str]:
    """All that the doctor says while `task` is trained; the progress of every step is told to it."""
    doctor, said = Doctor(task.train.learning_rate), list[str]()
    task = replace(task, train=replace(task.train, log_every_s=0))

    def progress(now: Progress) -> None:
        said.extend(doctor.progress(now))

    try:
        train(task, lambda epoch: said.extend(doctor.epoch(epoch)), progress=progress)
    except TrainingDivergedError:
        assert said, "the training diverged and the doctor had said nothing"
    return said


def test_a_sound_training_draws_no_complaint(trained_base: Any) -> None:
    reports: list[EpochReport] = trained_base.reports
    doctor = Doctor(0.02)
    assert [finding for report in reports for finding in doctor.epoch(report)] == []


def test_the_steps_of_a_sound_training_draw_no_complaint(tmp_path: Path) -> None:
    assert findings_of(make_task(tmp_path)) == []


def test_a_rate_that_is_far_too_high_is_found_by_the_steps(tmp_path: Path) -> None:
    said = findings_of(make_task(tmp_path, num_train=36, learning_rate=30.0))
    assert any("rate is too high" in line and "train.learning_rate (30)" in line for line in said), said
    assert len(said) == len(set(said)) <= 2


def test_a_rate_that_is_far_too_low_is_found(tmp_path: Path) -> None:
    (said,) = findings_of(make_task(tmp_path, learning_rate=1e-7, num_epochs=5))
    assert "the loss stands still" in said
    assert "train.learning_rate is 1e-07" in said


REPORT = EpochReport(1, 9, 3.0, 3.0, 1.0, 1.0, 1e-3, 60.0, 1.0, 0.0, 0, 0)


def said_of(*reports: EpochReport) -> list[str]:
    doctor = Doctor(1e-3)
    return [finding for report in reports for finding in doctor.epoch(report)]


def test_empty_hypotheses_are_told_once() -> None:
    (said,) = said_of(*[REPORT] * 7)
    assert "every hypothesis is empty" in said


def test_wrong_hypotheses_are_not_called_empty() -> None:
    (said,) = said_of(*[replace(REPORT, cer=0.9)] * 4)
    assert "90% of the characters are wrong" in said


@pytest.mark.parametrize("cer", [0.05, 0.79])
def test_a_loss_that_stands_still_at_its_end_is_in_order(cer: float) -> None:
    assert said_of(*[replace(REPORT, train_loss=0.01, cer=cer)] * 6) == []


def test_an_epoch_without_a_loss_is_no_finding_and_no_fault() -> None:
    assert said_of(*[replace(REPORT, train_loss=math.nan)] * 5) == []


def test_a_loss_near_0_may_vary() -> None:
    assert said_of(*[replace(REPORT, train_loss=loss, cer=0.0) for loss in (0.02, 0.2, 0.3)]) == []
