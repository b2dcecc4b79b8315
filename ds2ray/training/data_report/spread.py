"""The spread of figures: percentiles, bins, and which of them lie far outside."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NUM_BINS = 10
FAR_OUT = 6.0
"""Distances from the median, in scaled median absolute deviations: of a normal distribution 2 in a billion are so far
out, and of the long tails that durations and rates have a few in ten thousand."""
LEAST_CORRELATION = 0.3
"""Audio and texts do not belong together where the rank correlation of their lengths is lower. Learners who read
(speechocean762) have 0.65, prompts of a telephone system 0.95."""
VARIED = 2.5
"""For that the lengths of texts have to differ, their 95th percentile by this factor from their 5th."""
_TO_DEVIATION = 1.4826  # the median absolute deviation of a normal distribution, to its standard deviation


@dataclass(frozen=True)
class Bin:
    """How many figures lie from `low` up to, but for the last bin not including, `high`."""

    low: float
    high: float
    count: int
    share: float  # of the fullest bin


@dataclass(frozen=True)
class Spread:
    """Percentiles of some figures, and bins that hold all of them."""

    lowest: float
    low: float  # the 5th percentile
    median: float
    high: float  # the 95th percentile
    highest: float
    bins: tuple[Bin, ...]

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray) -> "Spread | None":
        """None where there are no values."""
        if not len(values):
            return None
        lowest, low, median, high, highest = np.percentile(values, [0, 5, 50, 95, 100]).tolist()
        return cls(lowest, low, median, high, highest, tuple(_bins(np.asarray(values))))


def _bins(values: np.ndarray) -> list[Bin]:
    counts, edges = np.histogram(values, NUM_BINS if np.ptp(values) else 1)
    most = counts.max()
    return [
        Bin(float(low), float(high), int(count), float(count / most))
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    ]


def far_out(values: np.ndarray) -> np.ndarray:
    """Indices of positive figures whose logarithm lies `FAR_OUT` from the median of all, the farthest first."""
    if not len(values):
        return np.empty(0, np.int64)
    logs = np.log(values)
    distances = np.abs(logs - np.median(logs))
    # of figures that are all but equal a difference by a tenth is no reason to look
    scale = max(_TO_DEVIATION * float(np.median(distances)), np.log(1.1) / FAR_OUT)
    order = np.argsort(-distances, kind="stable")
    return order[distances[order] > FAR_OUT * scale]


def is_varied(lengths: np.ndarray) -> bool:
    """Whether lengths differ by so much that their correlation tells anything."""
    low, high = np.percentile(lengths, [5, 95])
    return bool(high >= VARIED * low)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation, -1 to 1; NaN where one of the two does not vary."""
    if not len(first) or not np.ptp(first) or not np.ptp(second):
        return float("nan")
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]
