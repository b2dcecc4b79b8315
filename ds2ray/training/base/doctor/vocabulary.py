"""How much of the transcripts a vocabulary can write."""

import unicodedata
from collections import Counter
from collections.abc import Iterable

from ds2ray.text import Vocabulary, normalise


def lost_characters(transcripts: Iterable[str], vocabulary: Vocabulary) -> tuple[float, dict[str, int]]:
    """The share of the characters that the vocabulary lacks, 0 to 1, and how often each of them is written."""
    lost: Counter[str] = Counter()
    kept = 0
    for transcript in transcripts:
        token_ids, unknown = vocabulary.encode_and_tell(transcript)
        kept += len(token_ids)
        if unknown:
            text = normalise(transcript, vocabulary.config)
            units = [*text, *unicodedata.normalize("NFD", text)]  # syllables, and with jamo their letters
            lost.update({one: max(text.count(one), units.count(one) - text.count(one)) for one in unknown})
    total = kept + sum(lost.values())
    return (sum(lost.values()) / total if total else 0.0), dict(lost.most_common())
