"""Errors of decoded rows."""

from collections.abc import Sequence

from ds2ray.decoding.decoder import Decoded
from ds2ray.metrics import Score, score_texts
from ds2ray.text import Vocabulary, normalise


def score_decoded(decoded: Sequence[Decoded], transcripts: Sequence[str], vocabulary: Vocabulary) -> Score:
    """Errors of decoded rows against their transcripts, which are normalised by the vocabulary's settings."""
    references = [normalise(transcript, vocabulary.config) for transcript in transcripts]
    return score_texts(references, [vocabulary.decode(row.token_ids) for row in decoded])
