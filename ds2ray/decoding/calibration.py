"""Calibration: from the score of a word to the probability that it was said, fitted on words that are known.

A logistic map of the logit of a word's geometric mean probability (Platt, 1999, "Probabilistic outputs for support
vector machines"); with slope 1 and intercept 0 it is that probability itself. Its quality is the expected calibration
error of Guo et al., 2017, "On calibration of modern neural networks".

Shapes: N words.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_WORDS = 50
"""Fewer words say nothing of probabilities."""
NUM_BINS = 15
_FURTHEST = -math.log(1e-6)  # logits are no further from 0, so that no word is certain
_PRIOR = (1.0, 0.0)
_PRIOR_WEIGHT = 1.0
_MAX_STEPS = 100
_PRECISION = 1e-9


@dataclass(frozen=True)
class Calibration:
    """A map from scores of words to probabilities, which never falls.

    Attributes:
        num_words: words on which it was fitted.
        error: expected calibration error on words on which it was not fitted, a fraction.
        error_before: that of the probabilities that the base gives words.
    """

    slope: float
    intercept: float
    num_words: int = 0
    error: float = 0.0
    error_before: float = 0.0

    def __call__(self, score: float) -> float:
        """The probability that a word was said, from its score: the mean log-probability of its tokens."""
        return float(_logistic(self.slope * _logits(np.array([score])) + self.intercept)[0])


def fit(rows: Sequence[Sequence[tuple[float, bool]]]) -> Calibration | None:
    """The map that suits words best; None where there are fewer than MIN_WORDS.

    Its error is found by cross-validation: the words of every second row by a map that the others give, and theirs by
    a map that these give.

    Args:
        rows: of each utterance the words that were heard: their scores, and whether they were said.
    """
    numbered = [(number, score, right) for number, row in enumerate(rows) for score, right in row]
    if len(numbered) < MIN_WORDS:
        return None
    odd = np.array([number % 2 == 1 for number, _, _ in numbered])
    scores = np.array([score for _, score, _ in numbered])
    right = np.array([right for _, _, right in numbered], bool)
    logits = _logits(scores)
    probabilities = np.zeros(len(scores))
    for held_out in (odd, ~odd):
        probabilities[held_out] = _logistic(_fitted(logits[~held_out], right[~held_out]) @ _columns(logits[held_out]))
    slope, intercept = _fitted(logits, right).tolist()
    return Calibration(
        slope=slope,
        intercept=intercept,
        num_words=len(scores),
        error=expected_error(probabilities, right),
        error_before=expected_error(np.exp(np.minimum(scores, 0.0)), right),
    )


def expected_error(probabilities: np.ndarray, right: np.ndarray) -> float:
    """The expected calibration error, a fraction: over bins of like probability, the distance between their mean and
    the share of words [N] that are right, weighted by the words in each bin."""
    bins = np.minimum((probabilities * NUM_BINS).astype(int), NUM_BINS - 1)
    surplus = np.bincount(bins, weights=probabilities - right, minlength=NUM_BINS)
    return float(np.abs(surplus).sum() / max(1, len(right)))


def _logits(scores: np.ndarray) -> np.ndarray:
    """Logits [N] of the probabilities whose logarithms these are."""
    below = np.minimum(scores, -1e-12)
    return np.clip(below - np.log(-np.expm1(below)), -_FURTHEST, _FURTHEST)


def _logistic(values: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * values))


def _columns(logits: np.ndarray) -> np.ndarray:
    return np.stack([logits, np.ones_like(logits)])


def _fitted(logits: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Slope, 0 at least, and intercept: the likeliest with a normal prior about the base's own probabilities.

    The prior counts where hardly any word is wrong, and targets are Platt's, which no probability of 0 or 1 fits best.
    """
    num_right = int(right.sum())
    targets = np.where(right, (num_right + 1) / (num_right + 2), 1 / (len(right) - num_right + 2))
    found = _newton(_columns(logits), targets)
    if found[0] >= 0:
        return found
    return np.array([0.0, _newton(_columns(np.zeros_like(logits)), targets)[1]])


def _newton(columns: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The minimum of the cross-entropy with targets [N] and the prior, over weights of the columns [2, N]."""
    prior = np.array(_PRIOR)

    def loss(weights: np.ndarray) -> float:
        values = weights @ columns
        entropy = np.logaddexp(0.0, values) - targets * values
        return float(entropy.sum() + 0.5 * _PRIOR_WEIGHT * np.square(weights - prior).sum())

    weights = prior
    for _ in range(_MAX_STEPS):
        probabilities = _logistic(weights @ columns)
        gradient = columns @ (probabilities - targets) + _PRIOR_WEIGHT * (weights - prior)
        curvature = (columns * (probabilities * (1 - probabilities))) @ columns.T + _PRIOR_WEIGHT * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while np.abs(step).max() > _PRECISION and loss(weights - step) > loss(weights):
            step = step / 2
        weights = weights - step
        if np.abs(step).max() <= _PRECISION:
            break
    return weights
