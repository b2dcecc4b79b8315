"""Findings of the doctor: what is wrong with a base training, by its reports alone, with the remedy.

The thresholds are this project's own, set so that each broken training of the tests is found and the sound one is not.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from ds2ray.training.base.reports import EpochReport, Progress

MIN_BAD_STEPS = 3
MAX_BAD_SHARE = 0.05
"""Of all steps; a rare step without a finite gradient is ordinary."""
RISE = 1.5
"""A loss above this multiple of the lowest has risen …"""
MIN_RISE = 0.5
"""… where that is more than this, too, per token: a loss near 0 varies by large factors."""
STILL_EPOCHS = 3
STILL_FALL = 0.05
"""A loss that falls by a smaller share over `STILL_EPOCHS` epochs stands still."""
STILL_CER = 0.8
"""Where fewer characters than this are wrong, a loss that stands still has been learned."""


@dataclass
class Doctor:
    """The doctor of one training: gives each of its findings once, as a line for people.

    Args:
        learning_rate: the highest of the schedule, as set.
    """

    learning_rate: float
    epochs: list[EpochReport] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    told: set[str] = field(default_factory=set)

    def progress(self, progress: Progress) -> list[str]:
        """New findings by the steps since the last progress."""
        self._add_loss(progress.loss)
        return self._new([*self._bad_steps(progress.bad_steps, progress.step), *self._risen()])

    def epoch(self, report: EpochReport) -> list[str]:
        """New findings by an epoch's report."""
        self.epochs.append(report)
        self._add_loss(report.train_loss)
        return self._new([*self._risen(), *self._still()])

    def _add_loss(self, loss: float) -> None:
        if math.isfinite(loss):
            self.losses.append(loss)

    def _new(self, findings: list[tuple[str, str]]) -> list[str]:
        new = [(name, text) for name, text in findings if name not in self.told]
        self.told |= {name for name, _ in new}
        return [f"doctor: {text}" for _, text in new]

    def _bad_steps(self, bad_steps: int, steps: int) -> Iterator[tuple[str, str]]:
        if bad_steps >= MIN_BAD_STEPS and bad_steps > MAX_BAD_SHARE * steps:
            yield (
                "bad steps",
                f"{bad_steps} of {steps} steps had no finite gradient and changed nothing: the rate is too high, or "
                f"audio is damaged; lower train.learning_rate ({self.learning_rate:g}) to a third, and look at "
                "the audio if that does not help",
            )

    def _risen(self) -> Iterator[tuple[str, str]]:
        """The last two losses are far above the lowest before: one alone may be a few hard batches."""
        if len(self.losses) < 3:
            return
        lowest, last = min(self.losses[:-2]), min(self.losses[-2:])
        if last > max(RISE * lowest, lowest + MIN_RISE):
            yield (
                "risen",
                f"the loss has risen from {lowest:.3g} to {self.losses[-1]:.3g}: the rate is too high; lower "
                f"train.learning_rate ({self.learning_rate:g}) to a third, or raise train.warmup_fraction",
            )

    def _still(self) -> Iterator[tuple[str, str]]:
        """The loss stands still while most characters are wrong."""
        last = self.epochs[-STILL_EPOCHS - 1 :]
        if len(last) <= STILL_EPOCHS or last[-1].cer < STILL_CER:
            return
        before, now = last[0].train_loss, last[-1].train_loss
        if not now > (1 - STILL_FALL) * before:
            return
        # nothing else than empty hypotheses has exactly one deletion for each word and for each character
        empty = all(report.cer == 1 and report.wer == 1 for report in last)
        heard = "every hypothesis is empty" if empty else f"{last[-1].cer:.0%} of the characters are wrong"
        yield (
            "still",
            f"the loss stands still ({before:.3g}, and {now:.3g} {STILL_EPOCHS} epochs later) and {heard}: most likely "
            f"the rate does not suit (train.learning_rate is {self.learning_rate:g}: try three times and a third of "
            "it), or the transcripts are not those of the audio: listen to a few utterances and read their rows in the "
            "manifest; see first whether a base learns 20 utterances by heart",
        )
