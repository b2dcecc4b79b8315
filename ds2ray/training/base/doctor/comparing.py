"""The loss of utterances with their own transcripts, compared with that with others'."""

import math
from collections.abc import Sequence

import numpy as np

from ds2ray.batching.batches import Batch
from ds2ray.training.base.doctor.trial import Trial


def signed_rank_score(differences: Sequence[float]) -> float:
    """Standard score of Wilcoxon's signed-rank test, above 0 where the differences are (normal approximation)."""
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1.0
    count = len(ranks)
    positive = float(ranks[np.asarray(differences) > 0].sum())
    spread = math.sqrt(count * (count + 1) * (2 * count + 1) / 24)
    return (positive - count * (count + 1) / 4) / spread


def gains_of(trial: Trial, batch: Batch) -> list[float]:
    """By how much the loss of each utterance is lower with its own tokens than with those of the next in length."""
    tokens = tokens_of(batch)
    order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
    others = dict(zip(order, [*order[1:], *order[-2:-1]], strict=False))
    given = [tokens[others.get(row, row)] for row in range(len(tokens))]
    own, of_others = trial.losses_with(batch, tokens), trial.losses_with(batch, given)
    return [
        theirs - its
        for its, theirs, mine, given_ in zip(own, of_others, tokens, given, strict=True)
        if mine != given_ and math.isfinite(theirs - its)
    ]


def tokens_of(batch: Batch) -> list[list[int]]:
    """The tokens of each utterance, without padding."""
    lengths = batch.num_tokens.tolist()
    return [row[:length] for row, length in zip(batch.tokens.tolist(), lengths, strict=True)]
