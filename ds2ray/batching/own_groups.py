"""The part of an epoch in which each rank reads row groups of its own: shared out, and made into steps for all."""

import heapq
from collections.abc import Callable, Sequence

import numpy as np

LEAST_GROUPS = 8
"""Row groups of a rank at least: with fewer, one that is shorter or longer than the others would leave ranks idle."""

Steps = list[list[np.ndarray]]
"""Of one rank: the batches of each step, as utterance indices int64 [n]."""


def windows_of_ranks(
    groups: np.ndarray, seconds: np.ndarray, world_size: int, window_groups: int
) -> list[list[np.ndarray]]:
    """Share out row groups: for each window, those of each rank, or for all ranks together where they are few.

    A rank has at most `window_groups` of a window, with about as many seconds of speech as every other.

    Args:
        groups: the row groups of an epoch in the order in which they are read, int64 [G].
        seconds: of their speech, float64 [G].

    Returns:
        windows of `world_size` arrays, or of a single one whose utterances are dealt out one by one.
    """
    windows: list[list[np.ndarray]] = []
    start = 0
    while world_size > 1 and len(groups) - start >= world_size * min(LEAST_GROUPS, window_groups):
        end = min(len(groups), start + world_size * window_groups)
        windows.append(_shared_out(groups[start:end], seconds[start:end], world_size, window_groups))
        start = end
    rest = range(start, len(groups), window_groups)
    return [*windows, *([groups[place : place + window_groups]] for place in rest)]


def _shared_out(groups: np.ndarray, seconds: np.ndarray, world_size: int, most: int) -> list[np.ndarray]:
    """The longest first, each to the rank that has the fewest seconds so far."""
    loads = [(0.0, rank) for rank in range(world_size)]
    shares: list[list[int]] = [[] for _ in loads]
    for place in np.argsort(-seconds, kind="stable").tolist():
        load, rank = heapq.heappop(loads)
        shares[rank].append(place)
        if len(shares[rank]) < most:
            heapq.heappush(loads, (load + float(seconds[place]), rank))
    return [groups[np.sort(np.array(share, dtype=np.int64))] for share in shares]


def joined_steps(
    by_rank: Sequence[Steps], length_of: Callable[[Sequence[np.ndarray]], float], order: Callable[[int], np.ndarray]
) -> list[list[np.ndarray]]:
    """The steps of all ranks at once: each the batches of its rounds, rank by rank, empty where a rank has none.

    Ranks wait for each other, so a step takes batches of like length.

    Args:
        length_of: the length of a step of one rank.
        order: of so many steps, given from the shortest to the longest: their places, int64 [n].
    """
    num_steps = max(map(len, by_rank))
    aligned: list[list[list[np.ndarray]]] = [[[] for _ in by_rank] for _ in range(num_steps)]
    for rank, steps in enumerate(by_rank):
        for place, step in enumerate(sorted(steps, key=length_of)):
            aligned[place * num_steps // len(steps)][rank] = step
    nothing = np.zeros(0, np.int64)
    joined = []
    for place in order(num_steps).tolist():
        of_ranks = aligned[place]
        rounds = range(max(map(len, of_ranks)))
        joined.append([batches[one] if one < len(batches) else nothing for one in rounds for batches in of_ranks])
    return joined
