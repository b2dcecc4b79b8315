"""Utterances judged: what each system recognised in them, against the transcript."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ds2ray.metrics import Score, score_texts

WIDTH = 4
"""Counts that a system has in a row of `counts`: word errors, words, character errors, characters."""


@dataclass(frozen=True)
class Judged:
    """One utterance as every system recognised it.

    Attributes:
        user_id: whose group it belongs to; empty where nobody is named.
        reference: the transcript, normalised.
        texts: what was recognised, by system.
        scores: the errors of it, by system.
        cells: of further columns of the manifest, by column; a cell that is empty has none.
    """

    utterance_id: str
    user_id: str
    duration_s: float
    reference: str
    texts: Mapping[str, str]
    scores: Mapping[str, Score]
    cells: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        utterance_id: str,
        user_id: str,
        duration_s: float,
        reference: str,
        texts: Mapping[str, str],
        cells: Mapping[str, object],
    ) -> "Judged":
        """The utterance with the errors of each text counted; reference and texts are normalised alike."""
        scores = {system: score_texts([reference], [text]) for system, text in texts.items()}
        return cls(utterance_id, user_id, duration_s, reference, texts, scores, cells)


def counts(rows: Sequence[Judged], systems: Sequence[str]) -> np.ndarray:
    """The counts [N, WIDTH · systems] of N utterances, system by system."""
    return np.array(
        [[count for system in systems for count in _counts(row.scores[system])] for row in rows], dtype=np.int64
    )


def _counts(score: Score) -> tuple[int, int, int, int]:
    words, characters = score.words, score.characters
    return words.errors, words.reference_length, characters.errors, characters.reference_length
