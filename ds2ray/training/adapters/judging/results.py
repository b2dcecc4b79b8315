"""Results of training and of judging one user's adapter."""

from dataclasses import dataclass

from torch import Tensor

from ds2ray.metrics import Score


@dataclass(frozen=True)
class Evaluation:
    """Mean CTC loss per token, and errors."""

    loss: float
    score: Score


@dataclass(frozen=True)
class AdapterFit:
    """A trained adapter with its loss and errors on the held-out utterances, and those of the base alone.

    Attributes:
        score_start: errors of the adapter that training started from, where that was trained before.
        trained: whether any epoch lowered the held-out loss; the adapter is else the one that training started from.
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
