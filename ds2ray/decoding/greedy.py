"""Greedy CTC decoding: the best token of every frame."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ds2ray.decoding.decoder import Decoded
from ds2ray.text import BLANK_ID


@dataclass(frozen=True)
class Greedy:
    """The decoder that takes the best token of every frame and collapses the path, as CTC defines it.

    Best path decoding in section 3.2 of Graves et al., 2006.
    """

    @property
    def name(self) -> str:
        """What it is calibrated by."""
        return "greedy"

    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[Decoded]:
        """The best path of each row; log_probs [B, T, V], lengths [B]."""
        best_scores, best_ids = log_probs.max(dim=2)
        rows = zip(best_ids.cpu().numpy(), best_scores.cpu().numpy(), lengths.tolist(), strict=True)
        return [collapse(ids[:length], scores[:length]) for ids, scores, length in rows]


def collapse(ids: np.ndarray, scores: np.ndarray) -> Decoded:
    """What a path spells: its tokens and their frames.

    Args:
        ids: [T] the token of each frame.
        scores: [T] their log-probabilities.
    """
    if len(ids) == 0:
        return Decoded([], [], [], 0.0)
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
    ends = np.concatenate([starts[1:], [len(ids)]]) - 1
    spoken = ids[starts] != BLANK_ID
    of_runs = np.add.reduceat(scores, starts, dtype=np.float64) / (ends - starts + 1)
    return Decoded(
        token_ids=ids[starts][spoken].tolist(),
        first_frames=starts[spoken].tolist(),
        last_frames=ends[spoken].tolist(),
        score=float(scores.mean()),
        token_scores=of_runs[spoken].tolist(),
    )
