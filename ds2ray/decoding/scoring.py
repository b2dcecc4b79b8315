"""Errors of what a model decodes against what was said."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ds2ray.config import ErrorMetric
from ds2ray.decoding.greedy import Decoded
from ds2ray.metrics import ErrorCount, character_errors, word_errors
from ds2ray.text import Vocabulary, normalise

NO_ERRORS = ErrorCount(0, 0, 0, 0)


@dataclass(frozen=True)
class Score:
    """Errors of words and of characters, addable over batches, users and ranks."""

    words: ErrorCount = field(default=NO_ERRORS)
    characters: ErrorCount = field(default=NO_ERRORS)

    def __add__(self, other: "Score") -> "Score":
        return Score(self.words + other.words, self.characters + other.characters)

    def rate(self, metric: ErrorMetric) -> float:
        """WER or CER as a fraction."""
        return (self.words if metric is ErrorMetric.wer else self.characters).rate()


def score_texts(references: Iterable[str], hypotheses: Iterable[str]) -> Score:
    """Errors of normalised texts, summed over pairs."""
    total = Score()
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        total += Score(word_errors(reference, hypothesis), character_errors(reference, hypothesis))
    return total


def score_decoded(decoded: Sequence[Decoded], transcripts: Sequence[str], vocabulary: Vocabulary) -> Score:
    """Errors of decoded rows against their transcripts, normalised as the vocabulary does."""
    references = [normalise(transcript, vocabulary.config) for transcript in transcripts]
    return score_texts(references, [vocabulary.decode(row.token_ids) for row in decoded])
