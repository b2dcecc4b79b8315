"""Greedy CTC decoding: log-probabilities to token ids."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ds2ray.text import BLANK_ID


@dataclass(frozen=True)
class Decoded:
    """A decoded row: its best path, with repeats merged and blanks removed.

    Attributes:
        token_ids: tokens of the text, without blanks.
        first_frames, last_frames: encoding frames in which each token stands, both inclusive.
        score: mean log-probability of the best path per frame, 0 at best.
    """

    token_ids: list[int]
    first_frames: list[int]
    last_frames: list[int]
    score: float


def greedy(log_probs: Tensor, lengths: Tensor) -> list[Decoded]:
    """Decode log-probabilities [B, T, V] of rows with `lengths` [B] frames; padding is never decoded."""
    best_scores, best_ids = log_probs.max(dim=2)
    rows = zip(best_ids.cpu().numpy(), best_scores.cpu().numpy(), lengths.tolist(), strict=True)
    return [_collapse(ids[:length], scores[:length]) for ids, scores, length in rows]


def _collapse(ids: np.ndarray, scores: np.ndarray) -> Decoded:
    if len(ids) == 0:
        return Decoded([], [], [], 0.0)
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
    ends = np.concatenate([starts[1:], [len(ids)]]) - 1
    spoken = ids[starts] != BLANK_ID
    return Decoded(ids[starts][spoken].tolist(), starts[spoken].tolist(), ends[spoken].tolist(), float(scores.mean()))
