"""The report on training data: its figures, all that stands out, and the examples of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ds2ray.progress import TellDone, untold_done
from ds2ray.shapes.shape import Shape
from ds2ray.store.keys import is_private
from ds2ray.tables.manifest import Utterance
from ds2ray.tables.problems import named, num_dropped, reasons_of
from ds2ray.training.base.sources import TrainingData
from ds2ray.training.data_report.sound import Sample, hear_sample
from ds2ray.training.data_report.spread import Spread, far_out, rank_correlation
from ds2ray.training.data_report.texts import Repeated, Texts, find_repeated, read_texts

MOST_EXAMPLES = 20
TIGHT = 0.8
"""A text that needs more than this share of the frames of its audio is tight: it leaves CTC hardly a choice."""


@dataclass(frozen=True)
class Example:
    """An utterance that stands out, as the page names it; with a salt by its line, and without its text."""

    name: str
    duration_s: float
    tokens_per_s: float
    frames_share: float  # of the frames of its audio that CTC needs at least
    text: str


@dataclass(frozen=True)
class Part:
    """The training or the validation utterances."""

    utterances: int
    hours: float
    unmeasured: int  # utterances whose length is not known
    speakers: int  # 0: they are not named
    words: int
    different_words: int
    tokens: int
    duration_s: Spread | None
    tokens_per_s: Spread | None
    text_tokens: Spread | None  # of each text


@dataclass(frozen=True)
class DataReport:
    """What the data of a base training are like.

    Attributes:
        characters: occurrences of each token in the training data.
        left_out: rows, by cause; `rows_left_out` counts each once.
        odd_lengths: utterances far longer or shorter than the others.
        odd_rates: utterances with far more or fewer tokens a second than the others.
        tight: utterances whose text is all but too long for their audio, `num_tight` of them.
        length_correlation: rank correlation of lengths of audio and of text; NaN where one of them does not vary.
        sample: None where nothing was listened to.
    """

    train: Part
    valid: Part
    characters: dict[str, int]
    rows_left_out: int
    left_out: dict[str, int]
    notes: tuple[str, ...]
    odd_lengths: tuple[Example, ...]
    num_odd_lengths: int
    odd_rates: tuple[Example, ...]
    num_odd_rates: int
    tight: tuple[Example, ...]
    num_tight: int
    repeated: Repeated
    length_correlation: float
    sample: Sample | None


@dataclass(frozen=True)
class _Measured:
    """The utterances whose length is known: index, seconds, tokens a second, and share of the frames that are needed;
    an array each."""

    index: np.ndarray
    duration_s: np.ndarray
    tokens_per_s: np.ndarray
    frames_share: np.ndarray


def report_on(
    data: TrainingData, shape: Shape, sample_size: int, threads: int = 4, tell: TellDone = untold_done
) -> DataReport:
    """Report on training data.

    Args:
        shape: of the base that is to be trained.
        sample_size: utterances that are listened to, at most; 0: none.
        threads: that read and decode them.
        tell: told how many of them are heard.

    Raises:
        StorageError: the store cannot be reached or refuses the credentials.
    """
    train, valid = (read_texts(part, data.vocabulary) for part in (data.train, data.valid))
    measured = _measure(data.train, train, shape)
    rate_hz = shape.audio.sample_rate_hz
    odd_lengths, odd_rates = far_out(measured.duration_s), far_out(measured.tokens_per_s)
    tight = np.flatnonzero(measured.frames_share > TIGHT)
    tight = tight[np.argsort(-measured.frames_share[tight], kind="stable")]

    def examples(places: np.ndarray) -> tuple[Example, ...]:
        return tuple(_example(data.train, train, measured, int(place)) for place in places[:MOST_EXAMPLES])

    return DataReport(
        train=_part(data.train, train, measured),
        valid=_part(data.valid, valid, _measure(data.valid, valid, shape)),
        characters=train.counts,
        rows_left_out=num_dropped(data.problems),
        left_out=reasons_of(data.problems),
        notes=tuple(data.notes),
        odd_lengths=examples(odd_lengths),
        num_odd_lengths=len(odd_lengths),
        odd_rates=examples(odd_rates),
        num_odd_rates=len(odd_rates),
        tight=examples(tight),
        num_tight=len(tight),
        repeated=find_repeated(data.train, data.valid, train, valid),
        length_correlation=rank_correlation(measured.duration_s, measured.tokens_per_s * measured.duration_s),
        sample=hear_sample(data.train, sample_size, rate_hz, threads, tell) if sample_size else None,
    )


def _measure(utterances: Sequence[Utterance], texts: Texts, shape: Shape) -> _Measured:
    index = [i for i, utterance in enumerate(utterances) if utterance.duration_s and texts.num_tokens[i]]
    duration_s = np.array([utterances[i].duration_s for i in index], dtype=np.float64)
    tokens = np.array([texts.num_tokens[i] for i in index], dtype=np.float64)
    given = [shape.encoding_frames(round(seconds * shape.audio.sample_rate_hz)) for seconds in duration_s]
    needed = np.array([texts.num_frames[i] for i in index], dtype=np.float64)
    share = needed / np.maximum(1, np.array(given, dtype=np.float64))
    return _Measured(np.array(index, dtype=np.int64), duration_s, tokens / duration_s, share)


def _part(utterances: Sequence[Utterance], texts: Texts, measured: _Measured) -> Part:
    return Part(
        utterances=len(utterances),
        hours=sum(utterance.duration_s or 0.0 for utterance in utterances) / 3600,
        unmeasured=sum(not utterance.duration_s for utterance in utterances),
        speakers=len({utterance.user_id for utterance in utterances} - {""}),
        words=texts.num_words,
        different_words=texts.num_different_words,
        tokens=sum(texts.num_tokens),
        duration_s=Spread.of(measured.duration_s),
        tokens_per_s=Spread.of(measured.tokens_per_s),
        text_tokens=Spread.of(texts.num_tokens),
    )


def _example(utterances: Sequence[Utterance], texts: Texts, measured: _Measured, place: int) -> Example:
    index = int(measured.index[place])
    utterance = utterances[index]
    return Example(
        named(utterance.utterance_id, utterance.line),
        float(measured.duration_s[place]),
        float(measured.tokens_per_s[place]),
        float(measured.frames_share[place]),
        "" if is_private() else texts.normalised[index],
    )
