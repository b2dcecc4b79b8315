"""Chance in counts of errors: intervals and paired tests, from rows that are drawn again and again.

The bootstrap of Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation" (2004).
Rows are utterances, or users with the sum of all their utterances, whose errors are not independent of each other.
"""

from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
CHANCE = 0.05
"""Share of the drawn values that lie outside of their interval, half of it on each side."""
_DRAWN_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Interval:
    """The interval in which a figure lies, but for chance."""

    low: float
    high: float

    def excludes_zero(self) -> bool:
        """Whether a difference of this interval is beyond chance."""
        return self.low > 0 or self.high < 0


def drawn_sums(rows: np.ndarray) -> np.ndarray:
    """Sums [RESAMPLES, C] over as many rows as there are in `rows` [N, C], drawn with replacement.

    The same rows give the same sums, whatever was drawn before.
    """
    random, num_rows = np.random.default_rng(0), len(rows)
    at_once = max(1, _DRAWN_AT_ONCE // num_rows)
    sizes = [min(at_once, RESAMPLES - start) for start in range(0, RESAMPLES, at_once)]
    return np.concatenate([rows[random.integers(0, num_rows, (size, num_rows))].sum(1) for size in sizes])


def interval(drawn: np.ndarray) -> Interval:
    """The interval that holds all but CHANCE of the drawn values [RESAMPLES]."""
    low, high = np.quantile(drawn, (CHANCE / 2, 1 - CHANCE / 2))
    return Interval(float(low), float(high))


def p_value(drawn: np.ndarray) -> float:
    """Two-sided probability that a difference whose drawn values [RESAMPLES] these are is none.

    One is added to the counts, since no number of draws shows that something never happens (Davison and Hinkley,
    "Bootstrap methods and their application", 1997, section 4.2.3).
    """
    rarer = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    return min(1.0, 2 * (int(rarer) + 1) / (len(drawn) + 1))
