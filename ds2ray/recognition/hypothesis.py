"""Hypotheses: the recognised text of utterances, words with their times, and the adapter that was used."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ds2ray.decoding.decoder import Decoded
from ds2ray.text import Vocabulary


@dataclass(frozen=True)
class Word:
    """A recognised word and the time of its speech, in seconds from the start of the audio."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Hypothesis:
    """The hypothesis of one utterance.

    Attributes:
        score: mean log-probability of the best path per frame, 0 at best.
        adapter: version of the adapter that was used; empty: the base alone.
        note: the reason why the base alone was used.
        error: the reason why the audio could not be recognised; the text is then empty.
    """

    utterance_id: str
    user_id: str
    text: str
    score: float = 0.0
    words: tuple[Word, ...] = ()
    adapter: str = ""
    note: str = ""
    error: str = ""

    def to_row(self) -> dict[str, Any]:
        """The hypothesis as a row of a table."""
        words = [{"text": word.text, "start_s": word.start_s, "end_s": word.end_s} for word in self.words]
        return {**{name: getattr(self, name) for name in self.__dataclass_fields__ if name != "words"}, "words": words}


def words_of(row: Decoded, vocabulary: Vocabulary, frame_s: float) -> Iterator[Word]:
    """Words between the spaces of a decoded row; a jamo vocabulary's letters are joined first.

    Args:
        frame_s: seconds from one encoding frame to the next.
    """
    tokens = [vocabulary.tokens[token_id] for token_id in row.token_ids]
    start = 0
    for end in range(len(tokens) + 1):
        if end < len(tokens) and tokens[end] != " ":
            continue
        if end > start:
            text = vocabulary.decode(row.token_ids[start:end])
            end_frame = row.last_frames[end - 1] + 1
            yield Word(text, round(row.first_frames[start] * frame_s, 3), round(end_frame * frame_s, 3))
        start = end + 1
