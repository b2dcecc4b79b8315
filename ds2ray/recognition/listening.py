"""Utterances read into the segments that are recognised, a window of them at a time.

A recording is read in pieces and cut at its pauses, whatever its length, so that no more of it is in memory than a
window holds. Windows know nothing of utterances: one may hold many of them, or a part of one.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ds2ray import storage
from ds2ray.errors import InputError, StorageError
from ds2ray.sound.cutting import Segment, cut, cut_all
from ds2ray.sound.pieces import read_pieces
from ds2ray.sound.segments import SegmentRules
from ds2ray.tables.manifest import Utterance

TOGETHER_S = 60.0
"""Seconds of short recordings whose speech is looked for together."""


@dataclass(frozen=True)
class Part:
    """One segment of an utterance; `index` is the utterance's place in the list."""

    index: int
    segment: Segment


@dataclass(frozen=True)
class End:
    """No part of this utterance follows.

    Attributes:
        problem: why it could not be read.
        note: how its channels were mixed, where that was not ordinary.
    """

    index: int
    problem: str = ""
    note: str = ""


@dataclass(frozen=True)
class _Short:
    """An utterance of one piece, whose speech is looked for together with that of others."""

    index: int
    waveform: np.ndarray
    note: str


@dataclass(frozen=True)
class Window:
    """Parts that are recognised together, and the utterances that end with them."""

    parts: list[Part] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)


class Reached:
    """How far the audio of utterances is recognised, window by window, in seconds."""

    def __init__(self, utterances: Sequence[Utterance], sample_rate_hz: int) -> None:
        self._durations_s = [utterance.duration_s or 0.0 for utterance in utterances]
        self._reached_s = [0.0] * len(utterances)
        self._rate_hz = sample_rate_hz
        self.total_s = sum(self._durations_s) if all(self._durations_s) else 0.0
        """Of all utterances; 0 where the duration of one is not known."""

    def after(self, window: Window) -> float:
        """The seconds that are done once this window is, the next one."""
        for part in window.parts:
            end_s = part.segment.start_s + len(part.segment.waveform) / self._rate_hz
            self._reached_s[part.index] = max(self._reached_s[part.index], end_s)
        for end in window.ends:
            self._reached_s[end.index] = self._durations_s[end.index]
        return sum(self._reached_s)


def windows(
    utterances: Sequence[Utterance], sample_rate_hz: int, rules: SegmentRules | None, window_s: float
) -> Iterator[Window]:
    """The segments of all utterances, those of long ones first, in windows of about `window_s` seconds.

    Args:
        rules: None: nothing is cut, and an utterance is one segment, whether something is said in it or not.
    """
    order = sorted(range(len(utterances)), key=lambda index: -(utterances[index].duration_s or 0.0))
    window, seconds = Window(), 0.0
    for item in _read(utterances, order, sample_rate_hz, rules):
        if isinstance(item, End):
            window.ends.append(item)
            continue
        window.parts.append(item)
        seconds += len(item.segment.waveform) / sample_rate_hz
        if seconds >= window_s:
            yield window
            window, seconds = Window(), 0.0
    if window.parts or window.ends:
        yield window


def _read(
    utterances: Sequence[Utterance], order: Iterable[int], sample_rate_hz: int, rules: SegmentRules | None
) -> Iterator[Part | End]:
    """Parts of utterances and their ends; a part of one may stand between those of another."""
    short: list[_Short] = []
    for index in order:
        notes: list[str] = []
        try:
            piece_s = rules.max_s if rules else TOGETHER_S
            pieces = read_pieces(utterances[index].audio, sample_rate_hz, piece_s, notes.append)
            first = next(pieces)
            following = next(pieces, None)
            if following is None and rules:
                short.append(_Short(index, first, "; ".join(notes)))
                if sum(len(each.waveform) for each in short) < TOGETHER_S * sample_rate_hz:
                    continue
                yield from _cut_short(short, sample_rate_hz, rules)
                short = []
                continue
            whole = itertools.chain([first] if following is None else [first, following], pieces)
            if rules:
                for segment in cut(whole, sample_rate_hz, rules):
                    yield Part(index, segment)
            else:
                yield Part(index, Segment(0.0, np.concatenate(list(whole))))
        except (FileNotFoundError, InputError, StorageError) as error:
            audio = utterances[index].audio
            yield End(index, storage.fault_of(audio if isinstance(audio, str) else "", error))
        else:
            yield End(index, note="; ".join(notes))
    if short and rules:
        yield from _cut_short(short, sample_rate_hz, rules)


def _cut_short(short: Sequence[_Short], sample_rate_hz: int, rules: SegmentRules) -> Iterator[Part | End]:
    found = cut_all([each.waveform for each in short], sample_rate_hz, rules)
    for each, segments in zip(short, found, strict=True):
        yield from (Part(each.index, segment) for segment in segments)
        yield End(each.index, note=each.note)
