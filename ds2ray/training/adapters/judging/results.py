"""Results of training and of judging one user's adapter."""

from dataclasses import dataclass

from torch import Tensor

from ds2ray.config import ErrorMetric
from ds2ray.metrics import Score


@dataclass(frozen=True)
class Judged:
    """One held-out utterance as it was judged: its place among the user's, CTC loss per token, and errors."""

    row: int
    loss: float
    score: Score


@dataclass(frozen=True)
class Evaluation:
    """Mean CTC loss per token, and errors.

    Attributes:
        utterances: the same of each utterance; none where nothing was decoded.
    """

    loss: float
    score: Score
    utterances: tuple[Judged, ...] = ()


@dataclass(frozen=True)
class AnchorErrors:
    """Errors on ordinary speech: of the base alone, and through an adapter."""

    before: Score
    after: Score

    def rise(self, metric: ErrorMetric) -> float:
        """What the adapter costs there, as a share of words or characters; below 0 where it helps."""
        return self.after.rate(metric) - self.before.rate(metric)


@dataclass(frozen=True)
class AdapterFit:
    """A trained adapter with its loss and errors on the held-out utterances, and those of the base alone.

    Attributes:
        score_start: errors of the adapter that training started from, where that was trained before.
        judged_start: the held-out utterances with the adapter that training started from.
        trained: whether any epoch lowered the held-out loss; the adapter is else the one that training started from.
        judged_before: the held-out utterances as the base alone hears them …
        judged_after: … and the same with the adapter or, in cross-validation, with the adapter of each one's fold.
        anchor: errors on ordinary speech, where there is an anchor.
    """

    state: dict[str, Tensor]
    epochs: int
    bad_steps: int
    loss_before: float
    loss_after: float
    score_before: Score
    score_after: Score
    score_start: Score | None = None
    trained: bool = True
    judged_before: tuple[Judged, ...] = ()
    judged_after: tuple[Judged, ...] = ()
    anchor: AnchorErrors | None = None
    judged_start: tuple[Judged, ...] = ()

    def errors(self, metric: ErrorMetric) -> tuple[float, float]:
        """The held-out error by the base alone, and with the adapter."""
        return self.score_before.rate(metric), self.score_after.rate(metric)

    def anchor_errors(self, metric: ErrorMetric) -> tuple[float | None, float | None]:
        """The error on ordinary speech by the base alone, and through the adapter; None without an anchor."""
        return (self.anchor.before.rate(metric), self.anchor.after.rate(metric)) if self.anchor else (None, None)
