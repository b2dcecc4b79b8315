"""A training's figures as Prometheus reads them."""

import re

import pytest

from ds2ray.training.tracking.figures import PREFIX, SERIES, last_good_training_of, training_exposition

SUMMARY = {
    "exit_code": 0,
    "seconds": 90.5,
    "metrics": {
        "epoch": 7,
        "train_loss": 0.5,
        "valid_loss": 0.75,
        "wer": 0.25,
        "cer": 0.125,
        "speech_s": 60.0,
        "seconds": 10.0,
        "telephone_share": 0.25,
    },
}


def test_every_series_of_a_complete_training_is_there_with_help_and_type() -> None:
    lines = training_exposition(SUMMARY, 1000.5, None).splitlines()
    assert [line.split()[2] for line in lines if line.startswith("# HELP ")] == [PREFIX + name for name in SERIES]
    assert [line.split()[2:] for line in lines if line.startswith("# TYPE ")] == [[PREFIX + n, "gauge"] for n in SERIES]
    assert f'{PREFIX}error_ratio{{of="characters"}} 0.125' in lines
    assert f"{PREFIX}last_good_timestamp_seconds 1000.5" in lines
    values = [line for line in lines if not line.startswith("#")]
    assert len(values) == len(SERIES) + 2
    assert all(re.fullmatch(r'ds2ray_train_[a-z_]+(\{of="[a-z]+"\})? [0-9.]+', line) for line in values)


def test_one_that_failed_has_no_errors_and_keeps_the_last_good_one() -> None:
    text = training_exposition(
        {"exit_code": 75}, 2000.0, last_good_training_of(training_exposition(SUMMARY, 9.0, None))
    )
    assert last_good_training_of(text) == 9.0
    assert f"{PREFIX}exit_code 75" in text.splitlines()
    assert "error_ratio" not in text


@pytest.mark.parametrize("text", ["", f"{PREFIX}last_good_timestamp_seconds soon\n", "ds2ray_run_exit_code 0\n"])
def test_where_none_is_known_none_is_told(text: str) -> None:
    assert last_good_training_of(text) is None
    assert "last_good" not in training_exposition({"exit_code": 2}, 1.0, None)
