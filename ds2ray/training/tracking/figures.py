"""A training's figures as Prometheus reads them, when it ends: text of one line per series."""

from collections.abc import Iterator, Mapping
from typing import Any

from ds2ray.nights.exposition import gauges, last_good_of

PREFIX = "ds2ray_train_"

SERIES = {
    "exit_code": "what the training ended with: 0 complete, 1 diverged or a fault, 2 input, 5 storage, 75 run again",
    "seconds": "seconds of the job",
    "end_timestamp_seconds": "when it ended",
    "last_good_timestamp_seconds": "when the last training ended that was complete",
    "epochs": "epochs of the base that is published",
    "loss": "mean CTC loss per token of that epoch, of training and validation data",
    "error_ratio": "errors in the validation data: words and characters",
    "speech_seconds": "audio that was trained on in that epoch",
    "epoch_seconds": "seconds of that epoch, without validation",
}
"""The names of all series, behind the prefix, with what they count."""


def training_exposition(summary: Mapping[str, Any], ended_s: float, last_good_s: float | None) -> str:
    """The text for a training.

    Args:
        summary: `exit_code`, `seconds`, and of one that is complete `metrics`, those of its base's record.
        ended_s: seconds since 1970.
        last_good_s: when an earlier one ended that was complete; None where none is known.
    """
    found = _values(summary, ended_s, ended_s if summary.get("exit_code") == 0 else last_good_s)
    known = [(series, labels, value) for series, labels, value in found if value is not None]
    return gauges(PREFIX, SERIES, known)


def last_good_training_of(text: str) -> float | None:
    """When the last complete training ended, by the text of an earlier one."""
    return last_good_of(text, PREFIX)


def _values(
    summary: Mapping[str, Any], ended_s: float, last_good_s: float | None
) -> Iterator[tuple[str, str, float | None]]:
    metrics = summary.get("metrics", {})
    yield "exit_code", "", summary.get("exit_code")
    yield "seconds", "", summary.get("seconds")
    yield "end_timestamp_seconds", "", ended_s
    yield "last_good_timestamp_seconds", "", last_good_s
    yield "epochs", "", metrics.get("epoch")
    yield "loss", '{of="training"}', metrics.get("train_loss")
    yield "loss", '{of="validation"}', metrics.get("valid_loss")
    yield "error_ratio", '{of="words"}', metrics.get("wer")
    yield "error_ratio", '{of="characters"}', metrics.get("cer")
    yield "speech_seconds", "", metrics.get("speech_s")
    yield "epoch_seconds", "", metrics.get("seconds")
