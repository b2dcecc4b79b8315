"""Reliability: how often words were said that a system was so and so sure of.

Shapes: N words.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ds2ray.decoding.calibration import NUM_BINS, expected_error


@dataclass(frozen=True)
class Bin:
    """Words of like confidence.

    Attributes:
        confidence: their mean.
        right: the share of them that were said.
    """

    confidence: float
    right: float
    num_words: int


@dataclass(frozen=True)
class Reliability:
    """The reliability of a system's words.

    Attributes:
        error: expected calibration error, a fraction.
        is_calibrated: whether confidence is by a calibration beside the base, or what the base makes of it.
        bins: those that hold words, by confidence.
    """

    error: float
    num_words: int
    is_calibrated: bool
    bins: list[Bin]


def reliability(words: Iterable[tuple[float, bool]], is_calibrated: bool) -> Reliability | None:
    """The reliability of words by their confidence and whether they were said; None without any."""
    pairs = list(words)
    if not pairs:
        return None
    confidence = np.clip([each for each, _ in pairs], 0.0, 1.0)
    right = np.array([each for _, each in pairs], bool)
    places = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    bins = [
        Bin(float(confidence[places == n].mean()), float(right[places == n].mean()), int((places == n).sum()))
        for n in range(NUM_BINS)
        if (places == n).any()
    ]
    return Reliability(expected_error(confidence, right), len(pairs), is_calibrated, bins)
