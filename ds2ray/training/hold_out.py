"""The choice of held-out utterances, in which each keeps its side when others come or go."""

import hashlib
from collections.abc import Sequence

from ds2ray.errors import InputError


def hold_out(utterance_ids: Sequence[str], fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Split utterances into indices of (train, held out); at least one is on each side.

    An utterance keeps its side when others come or go, except for the few at the border: so an adapter of an earlier
    night has not learned from the speech that judges it tonight.

    Raises:
        InputError: there are fewer than two utterances.
    """
    if len(utterance_ids) < 2:
        raise InputError(
            f"{len(utterance_ids)} utterances cannot be split into training and held-out speech; give 2 or more"
        )
    count = min(len(utterance_ids) - 1, max(1, round(len(utterance_ids) * fraction)))
    order = drawn_order(utterance_ids, seed)
    return sorted(order[count:]), sorted(order[:count])


def drawn_order(utterance_ids: Sequence[str], seed: int) -> list[int]:
    """Indices in an order drawn by the seed, in which each utterance's place depends on its own id alone."""
    drawn = [hashlib.sha256(f"{seed}/{utterance_id}".encode()).digest() for utterance_id in utterance_ids]
    return sorted(range(len(drawn)), key=drawn.__getitem__)
