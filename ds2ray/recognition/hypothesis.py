"""Hypotheses: the recognised text of utterances, words with their times, and the adapter that was used."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ds2ray.decoding.decoder import Decoded
from ds2ray.decoding.words import word_places, word_score
from ds2ray.tables.manifest import Utterance
from ds2ray.text import Vocabulary


@dataclass(frozen=True)
class Word:
    """A recognised word and the time of its speech, in seconds from the start of the audio.

    Attributes:
        confidence: the probability that the word was said, 0 to 1, where the decoder is calibrated; else what the base
            makes of it, which is often too high. None from a decoder that tells no scores of tokens.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float | None = None


@dataclass(frozen=True)
class Alternative:
    """One of the best texts of an utterance.

    Attributes:
        score: log-probability of the sound, plus what the decoder adds that knows of the language.
        share: of the probability of all alternatives that are told.
    """

    text: str
    score: float
    share: float


@dataclass(frozen=True)
class Hypothesis:
    """The hypothesis of one utterance.

    Attributes:
        score: mean log-probability of the best path per frame, 0 at best, and where nothing is spoken.
        adapter: version of the adapter that was used; empty: the base alone.
        note: the reason why the base alone was used, and how channels were mixed where that was not ordinary.
        error: the reason why the audio could not be recognised; the text is then empty.
        alternatives: the best texts, best first, the hypothesis's own among them; empty where only one is asked for.
    """

    utterance_id: str
    user_id: str
    text: str
    score: float = 0.0
    words: tuple[Word, ...] = ()
    adapter: str = ""
    note: str = ""
    error: str = ""
    alternatives: tuple[Alternative, ...] = ()

    def to_row(self) -> dict[str, Any]:
        """The hypothesis as a row of a table: a column per field, lists of words and alternatives last."""
        lists = {name: [_rounded(asdict(each)) for each in getattr(self, name)] for name in ("words", "alternatives")}
        return {**{name: getattr(self, name) for name in self.__dataclass_fields__ if name not in lists}, **lists}


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


@dataclass(frozen=True)
class Heard:
    """The hypothesis of one segment of an utterance, with times from the start of the whole; see `Hypothesis`."""

    text: str
    words: tuple[Word, ...]
    score: float
    duration_s: float
    adapter: str = ""
    note: str = ""
    readings: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(
        cls,
        row: Decoded,
        vocabulary: Vocabulary,
        frame_s: float,
        start_s: float,
        duration_s: float,
        confidence: Callable[[float], float] = math.exp,
    ) -> "Heard":
        """A decoded row as text and words, none of which ends after the segment.

        Args:
            frame_s: seconds from one encoding frame to the next.
            start_s: when the segment begins.
            confidence: the probability that a word of this score was said; see `word_score`.
        """
        end_s = math.floor(1000 * (start_s + duration_s)) / 1000
        words = tuple(
            Word(
                text=word.text,
                start_s=round(min(start_s + word.start_s, end_s), 3),
                end_s=round(min(start_s + word.end_s, end_s), 3),
                confidence=None if score is None else confidence(score),
            )
            for word, score in zip(words_of(row, vocabulary, frame_s), _word_scores(row, vocabulary), strict=True)
        )
        readings = tuple((vocabulary.decode(reading.token_ids), reading.score) for reading in row.readings)
        return cls(vocabulary.decode(row.token_ids), words, row.score, duration_s, readings=readings)


def joined(utterance: Utterance, heard: Sequence[Heard]) -> Hypothesis:
    """The hypothesis of an utterance, out of those of its segments, one or more."""
    seconds = sum(part.duration_s for part in heard)
    return Hypothesis(
        utterance_id=utterance.utterance_id,
        user_id=utterance.user_id,
        text=_joined_texts([part.text for part in heard]),
        score=sum(part.score * (part.duration_s / seconds) for part in heard),
        words=tuple(word for part in heard for word in part.words),
        adapter=heard[0].adapter,
        note=heard[0].note,
        alternatives=alternatives_of([part.readings for part in heard]),
    )


def _joined_texts(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else " ".join(text.strip() for text in texts if text.strip())


def alternatives_of(segments: Sequence[Sequence[tuple[str, float]]]) -> tuple[Alternative, ...]:
    """The best texts of an utterance, best first, out of the readings of its segments, each a text and its score.

    A text of the whole is one reading of each segment, and its score the sum of theirs. There are as many texts as the
    segment with the most readings has, and no two alike.
    """
    count = max(map(len, segments), default=0)
    best: list[tuple[tuple[str, ...], float]] = [((), 0.0)]
    for readings in segments:
        longer = [((*texts, text), total + score) for texts, total in best for text, score in readings]
        best = sorted(longer, key=lambda each: -each[1])[:count]
    scores: dict[str, float] = {}
    for texts, score in best if count else ():
        scores.setdefault(_joined_texts(texts), score)
    most = max(scores.values(), default=0.0)
    total = sum(math.exp(score - most) for score in scores.values())
    return tuple(Alternative(text, score, math.exp(score - most) / total) for text, score in scores.items())


def words_of(row: Decoded, vocabulary: Vocabulary, frame_s: float) -> Iterator[Word]:
    """Words between the spaces of a decoded row; a jamo vocabulary's letters are joined first.

    Args:
        frame_s: seconds from one encoding frame to the next.
    """
    for start, end in word_places(row, vocabulary):
        text = vocabulary.decode(row.token_ids[start:end])
        end_frame = row.last_frames[end - 1] + 1
        yield Word(text, round(row.first_frames[start] * frame_s, 3), round(end_frame * frame_s, 3))


def _word_scores(row: Decoded, vocabulary: Vocabulary) -> Iterator[float | None]:
    for start, end in word_places(row, vocabulary):
        yield word_score(row.token_scores[start:end]) if row.token_scores else None
