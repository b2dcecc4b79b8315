"""Recordings cut into the segments that hold speech, in memory that does not grow with their length."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ds2ray.sound.segments import Segmenter, SegmentRules, Span
from ds2ray.sound.voice_activity import FRAME_S, SpeechStream, speech_probabilities


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

    Args:
        waveforms: float32 [num_samples] each.
    """
    found = []
    for waveform, probabilities in zip(waveforms, speech_probabilities(waveforms, sample_rate_hz), strict=True):
        segmenter, samples = Segmenter(rules), _Samples(sample_rate_hz)
        samples.append(waveform)
        found.append([samples.segment(span) for span in [*segmenter.push(probabilities), *segmenter.finish()]])
    return found


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
