"""The words of a decoded row: where they stand among its tokens, and how sure the decoder is of them."""

from collections.abc import Iterator, Sequence

from ds2ray.decoding.decoder import Decoded
from ds2ray.text import Vocabulary


def word_places(row: Decoded, vocabulary: Vocabulary) -> Iterator[tuple[int, int]]:
    """The first token of each word, and the one after its last."""
    start = 0
    for end in range(len(row.token_ids) + 1):
        if end < len(row.token_ids) and vocabulary.tokens[row.token_ids[end]] != " ":
            continue
        if end > start:
            yield start, end
        start = end + 1


def word_score(token_scores: Sequence[float]) -> float:
    """The score of a word by the mean log-probabilities of its tokens: their mean.

    It tells words that were said from others better than the least sure token or the sum does: docs/hypotheses.md.
    """
    return sum(token_scores) / len(token_scores)
