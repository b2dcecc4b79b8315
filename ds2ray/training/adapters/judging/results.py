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
    """A trained adapter with its loss and errors on the held-out utterances, and those of the base alone."""

    state: dict[str, Tensor]
    epochs: int
    bad_steps: int
    loss_before: float
    loss_after: float
    score_before: Score
    score_after: Score
