"""Forced alignment with CTC: which words of a long transcript are said in which segment of its recording.

Viterbi's algorithm over the states of CTC (Graves et al., 2006, section 4.1: every token with a blank around it),
segment by segment. Between segments only the ends of words are remembered, so that memory grows with the segments and
not with their frames, and of these only ends that are not hopeless. A segment may hold nothing of the transcript.

Within one segment the path is that of torchaudio's `forced_align`, as a test shows. That one tells the frames of tokens
that are known to be said, in a tenth of the time, and serves `ds2ray.decoding.beam`; it can neither begin at many words
at once nor leave some out, which is what long recordings need.

Shapes: T encoding frames of a segment, V size of the vocabulary, N units of the transcript.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ds2ray.text import BLANK_ID

BEAM = 1000.0
"""Ends of words whose path is less likely than the best by more than so many nats are given up after a segment: as many
as a few sentences cost that are not in the recording."""

FOREIGN_LOSS = 4.0
"""A segment holds nothing of the transcript where any part of that would have a larger loss (see `AlignedSegment`). Of
the demo's eight accented users no sentence has more than 3.7 with its own transcript, and half of them have more than
5.2 with another sentence's."""


@dataclass(frozen=True)
class AlignedSegment:
    """The units `first` up to, but not including, `end` of a transcript that are said in a segment.

    Attributes:
        loss: nats by which the path of these units is less likely than the best path of the base, for each token of
            theirs or of what the base hears, whichever are more.
    """

    first: int
    end: int
    loss: float


@dataclass(frozen=True)
class _Ends:
    """After a segment: the ends of units from `first` on, how likely each is, and where in the transcript the segment
    began on the way there."""

    first: int
    scores: np.ndarray  # float64 [number of ends]
    origins: np.ndarray  # int64 [number of ends]


class Alignment:
    """The alignment of a transcript with the segments of its recording, which come one after another.

    Args:
        units: token ids of each word, at least one each.
        separator: token between two words; None: there is none.
    """

    def __init__(self, units: Sequence[Sequence[int]], separator: int | None) -> None:
        between = [] if separator is None else [separator]
        tokens: list[int] = []
        self._first, self._last = [], []  # tokens of each unit
        for unit in units:
            tokens += between if tokens else []
            self._first.append(len(tokens))
            tokens += unit
            self._last.append(len(tokens) - 1)
        self.tokens = np.array(tokens, dtype=np.int64)
        self._starts = np.array([*self._first, len(tokens)])  # of the unit after each end
        self._stops = np.array([-1, *self._last])  # the token before each end
        self._history = [_Ends(0, np.zeros(1), np.zeros(1, dtype=np.int64))]
        self._best: list[float] = []  # of the base's own path, for each segment …
        self._heard: list[int] = []  # … and how many tokens it has

    def push(self, log_probs: np.ndarray) -> None:
        """Go on through a segment: float32 [T, V], T at least 1."""
        path = log_probs.argmax(axis=1)
        best = float(log_probs[np.arange(len(path)), path].sum(dtype=np.float64))
        heard = int(np.count_nonzero((path != BLANK_ID) & (path != np.concatenate([[BLANK_ID], path[:-1]]))))
        self._history.append(_pruned(self._through(log_probs, self._history[-1], best - FOREIGN_LOSS * heard)))
        self._best.append(best)
        self._heard.append(heard)

    def finish(self) -> list[AlignedSegment] | None:
        """The units of each segment; None where the transcript does not end with the recording on any path."""
        num_units = len(self._first)
        end, found = num_units, []
        for number in range(len(self._best) - 1, -1, -1):
            here, before = self._history[number + 1], self._history[number]
            place = end - here.first
            if not 0 <= place < len(here.scores) or not np.isfinite(here.scores[place]):
                return None
            first = int(here.origins[place])
            lost = self._best[number] - (here.scores[place] - before.scores[first - before.first])
            said = self._last[end - 1] + 1 - self._first[first] if first < end else 0
            found.append(AlignedSegment(first, end, float(lost) / max(1, said, self._heard[number])))
            end = first
        return found[::-1] if end == 0 else None

    def _through(self, log_probs: np.ndarray, begun: _Ends, foreign: float) -> _Ends:
        """The ends that can be reached in a segment, out of those before it."""
        ends = np.arange(begun.first, begun.first + len(begun.scores))
        first = int(self._starts[begun.first])
        last = min(len(self.tokens), int(self._starts[ends[-1]]) + len(log_probs))
        states = _States(self.tokens[first:last])
        states.blanks[self._starts[ends] - first] = begun.scores
        states.of_blanks[self._starts[ends] - first] = ends
        for frame in log_probs:
            states.push(frame)
        reached = np.flatnonzero((self._starts <= last) & (np.arange(len(self._starts)) >= begun.first))
        scores, origins = states.at_ends(self._starts[reached] - first, self._stops[reached] - first)
        _take(scores[: len(ends)], origins[: len(ends)], begun.scores + foreign, ends)
        return _Ends(begun.first, scores, origins)


class _States:
    """The states of CTC for some tokens: each token, and the blanks before each and after the last.

    Attributes:
        spoken, blanks: how likely the best path to each state is: float64 [tokens], [tokens + 1].
        of_spoken, of_blanks: the end that it began at.
    """

    def __init__(self, tokens: np.ndarray) -> None:
        self.tokens = tokens
        self.spoken, self.blanks = np.full(len(tokens), -np.inf), np.full(len(tokens) + 1, -np.inf)
        self.of_spoken, self.of_blanks = np.zeros(len(tokens), np.int64), np.zeros(len(tokens) + 1, np.int64)
        self._twice = np.concatenate([[True], tokens[1:] == tokens[:-1]])[: len(tokens)]

    def push(self, frame: np.ndarray) -> None:
        """Go on by a frame: log-probabilities float32 [V]."""
        spoken, of_spoken = self.spoken.copy(), self.of_spoken.copy()
        # into a token: from the blank before it, or from the token before that, if it is another one
        _take(self.spoken, self.of_spoken, self.blanks[:-1], self.of_blanks[:-1])
        _take(self.spoken[1:], self.of_spoken[1:], np.where(self._twice[1:], -np.inf, spoken[:-1]), of_spoken[:-1])
        _take(self.blanks[1:], self.of_blanks[1:], spoken, of_spoken)
        self.spoken += frame[self.tokens]
        self.blanks += frame[BLANK_ID]

    def at_ends(self, starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How likely the ends of units are, and where each path began.

        Args:
            starts: the token after each end, int64 [number of ends].
            stops: the last token of the unit before it; below 0: that is none of these.
        """
        scores, origins = self.blanks[starts], self.of_blanks[starts]  # copies
        inside = stops >= 0
        # a path may also end in the last token of the unit, the blank after it, or the separator
        for values, began, places in (
            (self.spoken, self.of_spoken, stops),
            (self.blanks, self.of_blanks, stops + 1),
            (self.spoken, self.of_spoken, starts - 1),
        ):
            others, their_origins = np.full(len(stops), -np.inf), np.zeros(len(stops), np.int64)
            others[inside], their_origins[inside] = values[places[inside]], began[places[inside]]
            _take(scores, origins, others, their_origins)
        return scores, origins


def _take(scores: np.ndarray, origins: np.ndarray, others: np.ndarray, their_origins: np.ndarray) -> None:
    """Replace, in place, what others are better than."""
    better = others > scores
    np.copyto(scores, others, where=better)
    np.copyto(origins, their_origins, where=better)


def _pruned(ends: _Ends) -> _Ends:
    alive = np.flatnonzero(ends.scores >= ends.scores.max() - BEAM)
    kept = slice(int(alive[0]), int(alive[-1]) + 1)
    return _Ends(ends.first + kept.start, ends.scores[kept], ends.origins[kept])
