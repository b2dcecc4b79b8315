"""Recordings cut into the segments that hold speech, in memory that does not grow with their length."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ds2ray.sound.segments import SPEECH, Segmenter, SegmentRules, Span
from ds2ray.sound.voice_activity import FRAME_S, SpeechStream, speech_probabilities

LOUD_SHARE, QUIET_DB, QUIET_S = 0.9, 15.0, 0.3
"""A recording is steady where it falls by so many decibels below the power that so large a share of its frames stays
under for no longer than this: its pauses are shorter than those that are cut."""

STEADY_FRAMES = 16
"""Frames of a steady recording that are looked at: half of them have to be speech."""


@dataclass(frozen=True)
class Segment:
    """A part of a recording that holds speech: float32 [num_samples], and when it begins."""

    start_s: float
    waveform: np.ndarray


def cut(pieces: Iterable[np.ndarray], sample_rate_hz: int, rules: SegmentRules) -> Iterator[Segment]:
    """The segments of a recording that comes in pieces, in order; they do not depend on where the pieces end.

    No more is in memory than a segment, a piece and a block of voice activity.

    Args:
        pieces: float32 [num_samples] each.
    """
    stream, segmenter = SpeechStream(sample_rate_hz), Segmenter(rules)
    kept = _Samples(sample_rate_hz)
    for piece in pieces:
        kept.append(piece)
        yield from map(kept.segment, segmenter.push(stream.push(piece)))
        kept.drop_before(segmenter.kept_from)
    yield from map(kept.segment, segmenter.push(stream.finish()))
    yield from map(kept.segment, segmenter.finish())


def cut_all(waveforms: Sequence[np.ndarray], sample_rate_hz: int, rules: SegmentRules) -> list[list[Segment]]:
    """The segments of whole recordings, each in order, whose speech is looked for together.

    Where a recording is no longer than a segment and about as loud all the time, only its loudest part is looked at:
    if that is speech, all of it is one segment.

    Args:
        waveforms: float32 [num_samples] each.
    """
    found: list[list[Segment]] = [[] for _ in waveforms]
    powers = [_power(waveform, sample_rate_hz) for waveform in waveforms]
    steady = [n for n, power in enumerate(powers) if _is_steady(power, rules)]
    loudest = speech_probabilities([_loudest(waveforms[n], powers[n], sample_rate_hz) for n in steady], sample_rate_hz)
    spoken = {n for n, scores in zip(steady, loudest, strict=True) if (scores >= SPEECH).sum() >= STEADY_FRAMES // 2}
    for n in spoken:
        found[n] = [Segment(0.0, waveforms[n])]
    others = [n for n in range(len(waveforms)) if n not in spoken]
    probabilities = speech_probabilities([waveforms[n] for n in others], sample_rate_hz)
    for n, scores in zip(others, probabilities, strict=True):
        segmenter, samples = Segmenter(rules), _Samples(sample_rate_hz)
        samples.append(waveforms[n])
        found[n] = [samples.segment(span) for span in [*segmenter.push(scores), *segmenter.finish()]]
    return found


def _is_steady(power: np.ndarray, rules: SegmentRules) -> bool:
    """Whether a recording of so many frames fits into a segment and has no quiet stretch that is worth cutting out."""
    if not STEADY_FRAMES < len(power) < rules.max_s / FRAME_S:
        return False
    place = int(LOUD_SHARE * len(power))
    quiet = power < np.partition(power, place)[place] * 10 ** (-QUIET_DB / 10)
    loud = np.flatnonzero(~quiet)
    quiet_stretches = np.diff(np.concatenate([[-1], loud, [len(power)]])) - 1
    return bool(quiet_stretches.max() * FRAME_S <= QUIET_S)


def _loudest(waveform: np.ndarray, power: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """The `STEADY_FRAMES` of a recording that are the loudest together."""
    sums = np.convolve(power, np.ones(STEADY_FRAMES), mode="valid")
    start = round(int(sums.argmax()) * FRAME_S * sample_rate_hz)
    return waveform[start : start + round(STEADY_FRAMES * FRAME_S * sample_rate_hz)]


def _power(waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """The mean square of each whole frame, float32 [N]."""
    size = round(FRAME_S * sample_rate_hz)
    return np.square(waveform[: len(waveform) // size * size].reshape(-1, size)).mean(1)


class _Samples:
    """The samples of a recording that may still be wanted."""

    def __init__(self, sample_rate_hz: int) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._first = 0
        self._kept = np.zeros(0, dtype=np.float32)

    def append(self, piece: np.ndarray) -> None:
        self._kept = np.concatenate([self._kept, piece])

    def drop_before(self, frame: int) -> None:
        num_dropped = min(self._sample(frame) - self._first, len(self._kept))
        self._kept = self._kept[num_dropped:].copy()
        self._first += num_dropped

    def segment(self, span: Span) -> Segment:
        """The samples of these frames; the last frame of a recording may be cut short."""
        start, end = self._sample(span.start), self._sample(span.end)
        return Segment(start / self.sample_rate_hz, self._kept[start - self._first : end - self._first].copy())

    def _sample(self, frame: int) -> int:
        return round(frame * FRAME_S * self.sample_rate_hz)
