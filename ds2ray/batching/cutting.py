"""Batches by seconds: bounds in a row of utterances."""

import heapq
from collections.abc import Sequence

import numpy as np


def cut(durations_s: Sequence[float], batch_s: float) -> np.ndarray:
    """Bounds of batches of neighbours, each of at most `batch_s` padded seconds, or of one longer utterance."""
    bounds = [0]
    longest_s = 0.0
    for place, duration_s in enumerate(durations_s):
        longest_s = max(longest_s, duration_s)
        if place > bounds[-1] and (place + 1 - bounds[-1]) * longest_s > batch_s:
            bounds.append(place)
            longest_s = duration_s
    if durations_s:
        bounds.append(len(durations_s))
    return np.array(bounds, dtype=np.int64)


def divisible(bounds: np.ndarray, world_size: int) -> np.ndarray:
    """Bounds of a multiple of `world_size` batches: the largest are halved; half of a single utterance is empty."""
    missing = -(len(bounds) - 1) % world_size
    largest = [(start - end, start) for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]
    heapq.heapify(largest)
    added = []
    for _ in range(missing):
        size, start = -largest[0][0], largest[0][1]
        half = size // 2  # 0 of one utterance: an empty batch before it
        heapq.heapreplace(largest, (half - size, start + half))
        heapq.heappush(largest, (-half, start))
        added.append(start + half)
    return np.sort(np.append(bounds, added)).astype(np.int64)
