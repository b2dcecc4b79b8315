"""Segments of a recording: it is cut at pauses, and never inside speech where there is a pause.

Lengths are in frames of voice activity, 32 ms each, unless their names say seconds.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ds2ray.sound.voice_activity import FRAME_S

SPEECH, SILENCE = 0.5, 0.35
"""Speech begins with a frame of at least the first probability and ends before one below the second, as silero-vad has
it."""


@dataclass(frozen=True)
class Span:
    """Frames from `start` up to, but not including, `end`."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, kw_only=True)
class SegmentRules:
    """How long segments are and what lies between them, in seconds.

    Attributes:
        max_s: no segment is longer.
        split_pause_s: a pause of this length ends a segment that is no shorter than `least_s` …
        least_s: … so that single words are joined to what is near,
        long_pause_s: and a pause of this length ends any segment.
        pad_s: of what lies around speech belongs to its segment, and at most half of the pause.
        pause_s: shorter gaps are part of speech: the closure of a plosive is one.
        shortest_s: shorter sounds are clicks.
    """

    max_s: float
    split_pause_s: float = 0.3
    least_s: float = 1.0
    long_pause_s: float = 1.0
    pad_s: float = 0.15
    pause_s: float = 0.1
    shortest_s: float = 0.06


class Segmenter:
    """Segments of one recording, in order, out of its probabilities of speech.

    A segment ends at a pause of `split_pause_s`, and a short one at one of `long_pause_s`. Where it would exceed
    `max_s`, it ends at the longest of its pauses, of those in its second half if there are any; and where it has no
    pause at all, at the frame of its second half that is the least like speech. The segments depend on the frames
    alone, not on how many of them are pushed at a time.
    """

    def __init__(self, rules: SegmentRules) -> None:
        self.longest = int(rules.max_s / FRAME_S + 1e-6)
        self.pad = round(rules.pad_s / FRAME_S)
        self.pause = math.ceil(rules.pause_s / FRAME_S)
        self.split = max(self.pause, 2 * self.pad, round(rules.split_pause_s / FRAME_S))
        self.long_pause = max(self.split, round(rules.long_pause_s / FRAME_S))
        self.least = round(rules.least_s / FRAME_S)
        self.shortest = math.ceil(rules.shortest_s / FRAME_S)
        self._frame = 0
        self._speaking = False
        self._stretches: list[Span] = []  # of speech, in the segment that is open, without the last one …
        self._last: Span | None = None  # … which may go on
        self._is_rest = False  # the last one is what a cut inside speech left
        self._free = 0  # first frame that belongs to no segment yet
        self._scores = np.zeros(0, dtype=np.float32)  # those of the frames from `kept_from` on
        self._done: list[Span] = []

    @property
    def kept_from(self) -> int:
        """The first frame that a later segment may hold: nothing before it is wanted any more."""
        first = self._stretches[0] if self._stretches else self._last
        return max(self._free, (self._frame if first is None else first.start) - self.pad)

    def push(self, probabilities: np.ndarray) -> list[Span]:
        """Take the next frames, float32 [any number]; returns the segments that are complete by now."""
        first = self._frame
        self._scores = np.concatenate([self._scores, probabilities])
        self._frame += len(probabilities)
        for start, end in self._sounds(probabilities):
            self._hear(Span(first + start, first + end))
        self._wait(self._frame)
        self._scores = self._scores[len(self._scores) - (self._frame - self.kept_from) :]
        return self._take()

    def finish(self) -> list[Span]:
        """The segments that are left when the recording ends."""
        self._end_stretch()
        if self._stretches:
            self._close(len(self._stretches), min(self._stretches[-1].end + self.pad, self._frame))
        return self._take()

    def _sounds(self, probabilities: np.ndarray) -> Iterator[tuple[int, int]]:
        """The runs of frames that are speech, first and end."""
        if not len(probabilities):
            return
        decided = np.where(probabilities >= SPEECH, 1, np.where(probabilities < SILENCE, 0, -1))
        # what is neither speech nor silence is what was before it
        known = np.maximum.accumulate(np.where(decided >= 0, np.arange(len(decided)), -1))
        speech = np.where(known >= 0, decided[known], int(self._speaking)).astype(bool)
        self._speaking = bool(speech[-1])
        edges = np.flatnonzero(np.diff(np.concatenate([[False], speech, [False]])))
        yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)

    def _hear(self, sound: Span) -> None:
        if self._last is not None and sound.start - self._last.end < self.pause:
            self._last = Span(self._last.start, sound.end)
        else:
            self._wait(sound.start)
            self._last = sound
        while self._is_too_long():
            self._cut()

    def _wait(self, frame: int) -> None:
        """Nothing is said up to this frame, since the last stretch."""
        if self._last is not None and frame - self._last.end < self.pause:
            return
        self._end_stretch()
        if self._stretches:
            first, last = self._stretches[0], self._stretches[-1]
            needed = self.split if last.end - first.start >= self.least else self.long_pause
            if frame - last.end >= needed:
                self._close(len(self._stretches), last.end + self.pad)

    def _end_stretch(self) -> None:
        if self._last is not None and (self._is_rest or len(self._last) >= self.shortest):
            self._stretches.append(self._last)
        self._last, self._is_rest = None, False

    def _is_too_long(self) -> bool:
        if self._last is None or not (self._is_rest or len(self._last) >= self.shortest):
            return False
        return self._last.end + self.pad - self.kept_from > self.longest

    def _cut(self) -> None:
        """End the open segment before the last stretch, or, where that is all of it, inside."""
        assert self._last is not None
        start, stretches = self.kept_from, [*self._stretches, self._last]
        if len(stretches) == 1:
            offset = self._frame - len(self._scores)
            half, end = start + self.longest // 2, start + self.longest - self.pad
            place = half + int(self._scores[half - offset : end - offset].argmin())
            self._done.append(Span(start, place))
            self._free, self._last, self._is_rest = place, Span(place, self._last.end), True
            return
        pauses = [Span(left.end, right.start) for left, right in itertools.pairwise(stretches)]
        late = [n for n, pause in enumerate(pauses) if pause.start >= start + self.longest // 2]
        chosen = max(late or range(len(pauses)), key=lambda n: (len(pauses[n]), n))
        middle = pauses[chosen].start + len(pauses[chosen]) // 2
        self._close(chosen + 1, min(pauses[chosen].start + self.pad, middle))
        self._free = middle

    def _close(self, num_stretches: int, end: int) -> None:
        """Make a segment of the first stretches, up to this frame."""
        self._done.append(Span(self.kept_from, end))
        self._stretches = self._stretches[num_stretches:]
        self._free = end

    def _take(self) -> list[Span]:
        done, self._done = self._done, []
        return done
