"""Prefix beam search over the log-probabilities of CTC, all rows of a batch and all their prefixes at once.

Hannun et al., 2014, "First-pass large vocabulary continuous speech recognition using bi-directional recurrent DNNs",
algorithm 1: the paths that spell the same prefix are summed. numpy does each frame's work for the whole batch, so that
a batch of 32 rows takes little longer than one.

Shapes: B rows, T encoding frames of the longest, V size of the vocabulary, P prefixes of all rows,
K tokens tried after each, S numbers of a fusion's state.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ds2ray.decoding.fusion import Fusion
from ds2ray.text import BLANK_ID

MAX_TOKENS = 40
"""Tokens that are tried in a frame, the likeliest ones."""
MAX_BEHIND = 14.0
"""A prefix whose score is further behind the row's best one is given up."""
SURE_BLANK = -1e-3
"""Log-probability from which on a frame is taken to hold nothing: of such frames in a row the first stands for all."""
_LEAST = -60.0  # log-probabilities are no smaller, so that no sum of them is infinite
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd, as Fibonacci hashing has it: 2^64 by the golden ratio


@dataclass(frozen=True)
class Found:
    """A way to read a row.

    Attributes:
        score: log-probability of the sound, plus what the fusion adds.
        sound_score: log-probability of the sound alone, summed over all paths that were followed.
    """

    token_ids: list[int]
    score: float
    sound_score: float


def search(
    log_probs: np.ndarray, lengths: np.ndarray, fusion: Fusion, width: int, num_best: int = 1
) -> list[list[Found]]:
    """The best ways to read each row, best first: one at least, in their order.

    Args:
        log_probs: [B, T, V]
        lengths: [B] frames that are not padding.
        width: prefixes kept per row.
        num_best: ways to read a row that are wanted, up to `width`.
    """
    frames, num_frames = _without_sure_blanks(log_probs, lengths)
    tokens = _likeliest(frames, min(MAX_TOKENS, frames.shape[2] - 1))
    order = np.argsort(-num_frames, kind="stable")  # rows that are at their end are the last ones
    prefixes, history = _Prefixes.empty(fusion.start(len(order))[order]), _History()
    ended: list[_Prefixes] = []
    for t in range(frames.shape[1] + 1):
        num_rows = np.count_nonzero(num_frames > t)
        going_on = np.searchsorted(prefixes.row, num_rows)
        if going_on < len(prefixes):
            ended.append(_ended(prefixes[going_on:], fusion, num_best))
            prefixes = prefixes[:going_on]
        if num_rows:
            rows = order[:num_rows]
            prefixes = _step(prefixes, frames[rows, t], tokens[rows, t], fusion, width, history)
    results: list[list[Found]] = [[] for _ in order]
    for row, reading in _readings(ended, history):
        results[order[row]].append(reading)
    return results


def _without_sure_blanks(log_probs: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frames [B, T', V] that have something to say, moved together in each row, and their number [B]."""
    within = np.arange(log_probs.shape[1]) < np.asarray(lengths)[:, None]
    blank = log_probs[:, :, BLANK_ID] > SURE_BLANK
    repeated = blank.copy()
    repeated[:, 1:] &= blank[:, :-1]
    repeated[:, :1] = False
    kept = within & ~repeated
    num_kept = kept.sum(1)
    chosen = np.argsort(~kept, axis=1, kind="stable")[:, : int(num_kept.max(initial=0))]
    frames = np.take_along_axis(log_probs, chosen[:, :, None], axis=1)
    return np.fmax(frames, _LEAST), num_kept  # what is no number is that, too


def _likeliest(frames: np.ndarray, count: int) -> np.ndarray:
    """Ids [B, T, K] of the likeliest tokens of each frame, the blank not among them, in no order."""
    spoken = frames[:, :, 1:]
    if count == spoken.shape[2]:
        return np.broadcast_to(np.arange(1, count + 1), spoken.shape)
    return 1 + np.argpartition(-spoken, count - 1, axis=2)[:, :, :count]


@dataclass(frozen=True)
class _Prefixes:
    """Prefixes of all rows, P of them: those of a row together, best first.

    Attributes:
        key, parent_key: what a prefix, and the prefix without its last token, is known by.
        last: its last token; the blank where there is none.
        in_blank, in_token: log-probability of the paths that spell it and end in a blank, or in its last token.
        bonus: what the fusion has added.
        state: [P, S] of the fusion.
        history: its number in `_History`.
    """

    row: np.ndarray
    key: np.ndarray
    parent_key: np.ndarray
    last: np.ndarray
    in_blank: np.ndarray
    in_token: np.ndarray
    bonus: np.ndarray
    state: np.ndarray
    history: np.ndarray

    @classmethod
    def empty(cls, states: np.ndarray) -> "_Prefixes":
        """The empty prefix of each row, with its state [B, S] of the fusion."""
        num_rows = len(states)
        rows = np.arange(num_rows)
        nothing = np.full(num_rows, -np.inf)
        keys = 1 + rows.astype(np.uint64)
        return cls(
            row=rows,
            key=keys,
            parent_key=np.zeros(num_rows, np.uint64),
            last=np.full(num_rows, BLANK_ID),
            in_blank=np.zeros(num_rows),
            in_token=nothing,
            bonus=np.zeros(num_rows),
            state=states,
            history=np.zeros(num_rows, np.int64),
        )

    def __getitem__(self, chosen: "np.ndarray | slice") -> "_Prefixes":
        return _Prefixes(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def __add__(self, other: "_Prefixes") -> "_Prefixes":
        fields = self.__dataclass_fields__
        return _Prefixes(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in fields))

    def __len__(self) -> int:
        return len(self.row)

    def sound_scores(self) -> np.ndarray:
        """Log-probabilities [P] of the sound alone."""
        return np.logaddexp(self.in_blank, self.in_token)


class _History:
    """All prefixes that were ever kept: each but the empty one, number 0, has a parent and a token."""

    def __init__(self) -> None:
        self._parents, self._tokens, self._count = [np.zeros(1, np.int64)], [np.full(1, BLANK_ID)], 1

    def add(self, parents: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The numbers of new prefixes."""
        self._parents.append(parents)
        self._tokens.append(tokens)
        self._count += len(parents)
        return np.arange(self._count - len(parents), self._count)

    def token_ids(self, numbers: Sequence[int]) -> Iterator[list[int]]:
        """The tokens of prefixes, one list each."""
        parents, tokens = np.concatenate(self._parents).tolist(), np.concatenate(self._tokens).tolist()
        for number in numbers:
            backwards = []
            while number:
                backwards.append(tokens[number])
                number = parents[number]
            yield backwards[::-1]


def _step(
    prefixes: _Prefixes, frame: np.ndarray, tokens: np.ndarray, fusion: Fusion, width: int, history: _History
) -> _Prefixes:
    """The best prefixes after one more frame, [B, V], of which `tokens` [B, K] are tried after each prefix."""
    row, last = prefixes.row, prefixes.last
    total = prefixes.sound_scores()
    in_last, tried = frame[row, last], tokens[row]
    tried_scores = np.take_along_axis(frame, tokens, axis=1)[row]
    # a token after itself needs a blank between
    reached = np.where(tried == last[:, None], prefixes.in_blank[:, None], total[:, None]) + tried_scores
    in_token = prefixes.in_token + in_last
    children, parents = _kin(prefixes)
    if len(children):
        before = np.where(last[children] == last[parents], prefixes.in_blank[parents], total[parents])
        in_token[children] = np.logaddexp(in_token[children], before + in_last[children])
        child, place = np.nonzero(tried[children] == last[children, None])
        reached[parents[child], place] = -np.inf
    stay = replace(prefixes, in_blank=total + frame[row, BLANK_ID], in_token=in_token)
    stay_scores = stay.sound_scores() + stay.bonus
    grown = _grown(prefixes, stay_scores, reached, tried, fusion)
    both = stay + grown
    scores = np.concatenate([stay_scores, grown.in_token + grown.bonus])
    kept = _with_ends(both, scores, _best(both.row, scores, width), fusion)
    return _recorded(both[kept], kept >= len(stay), history)


def _kin(prefixes: _Prefixes) -> tuple[np.ndarray, np.ndarray]:
    """The prefixes whose parents are among them, and these parents."""
    order = np.argsort(prefixes.key)
    places = np.minimum(np.searchsorted(prefixes.key, prefixes.parent_key, sorter=order), len(order) - 1)
    parents = order[places]
    children = np.flatnonzero(prefixes.key[parents] == prefixes.parent_key)
    return children, parents[children]


def _grown(
    prefixes: _Prefixes, stay_scores: np.ndarray, reached: np.ndarray, tried: np.ndarray, fusion: Fusion
) -> _Prefixes:
    """The prefixes that are one token longer and worth a look; their `history` is still that of their parents.

    Args:
        stay_scores: [P] of the prefixes after this frame where no token is added.
        reached: [P, K] log-probabilities of the sound with a further token.
        tried: [P, K] ids of these tokens.
    """
    with_bonus = reached + prefixes.bonus[:, None]
    best = _best_of_rows(prefixes.row, np.maximum(stay_scores, with_bonus.max(1)))
    prefix, place = np.nonzero(with_bonus > (best - MAX_BEHIND)[:, None])
    token = tried[prefix, place]
    parent = prefixes[prefix]
    state, score = fusion.extend(parent.state, token)
    grown = _Prefixes(
        row=parent.row,
        key=parent.key * _SPREAD + token.astype(np.uint64),
        parent_key=parent.key,
        last=token,
        in_blank=np.full(len(token), -np.inf),
        in_token=reached[prefix, place],
        bonus=parent.bonus + score,
        state=state,
        history=parent.history,
    )
    return grown[score > -np.inf]


def _best_of_rows(row: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """For each prefix [P] the best score in its row; those of a row are together."""
    begins = np.flatnonzero(np.diff(row, prepend=-1))
    return np.repeat(np.maximum.reduceat(scores, begins), np.diff(begins, append=len(row)))


def _best(row: np.ndarray, scores: np.ndarray, width: int) -> np.ndarray:
    """Places of the `width` best scores of each row that are not too far behind, by row and best first."""
    best = np.full(1 + int(row.max(initial=-1)), -np.inf)
    np.maximum.at(best, row, scores)
    behind = best[row] - scores
    near = np.flatnonzero(behind < MAX_BEHIND)
    order = near[np.argsort(2 * MAX_BEHIND * row[near] + behind[near], kind="stable")]
    begins = np.flatnonzero(np.diff(row[order], prepend=-1))
    first = np.repeat(begins, np.diff(begins, append=len(order)))
    return order[np.arange(len(order)) - first < width]


def _with_ends(prefixes: _Prefixes, scores: np.ndarray, kept: np.ndarray, fusion: Fusion) -> np.ndarray:
    """The places that are kept, and of each row in which no prefix of them may end, the best one that may.

    So every row has a reading, whatever a lexicon forbids: at worst that in which nothing has been said.
    """
    may_end = fusion.may_end(prefixes.state)
    if may_end.all():
        return kept
    has_end = np.zeros(1 + int(prefixes.row.max()), bool)
    has_end[prefixes.row[kept[may_end[kept]]]] = True
    others = np.flatnonzero(may_end & ~has_end[prefixes.row])
    added = others[_best(prefixes.row[others], scores[others], 1)]
    every = np.concatenate([kept, added])
    return every[np.lexsort((-scores[every], prefixes.row[every]))]


def _recorded(prefixes: _Prefixes, is_new: np.ndarray, history: _History) -> _Prefixes:
    """The prefixes with the new ones among them written into the history."""
    numbers = prefixes.history.copy()
    numbers[is_new] = history.add(numbers[is_new], prefixes.last[is_new])
    return replace(prefixes, history=numbers)


def _ended(prefixes: _Prefixes, fusion: Fusion, num_best: int) -> _Prefixes:
    """The best prefixes of rows that have come to their end, best first, with what the fusion says of that end."""
    ended = replace(prefixes, bonus=prefixes.bonus + fusion.finish(prefixes.state))
    return ended[_best(ended.row, ended.sound_scores() + ended.bonus, num_best)]


def _readings(ended: Sequence[_Prefixes], history: _History) -> Iterator[tuple[int, Found]]:
    """What all prefixes spell, in their order, each with its row."""
    spelt = history.token_ids([number for prefixes in ended for number in prefixes.history.tolist()])
    for prefixes in ended:
        sound = prefixes.sound_scores()
        scores = (sound + prefixes.bonus).tolist()
        for row, score, sound_score in zip(prefixes.row.tolist(), scores, sound.tolist(), strict=True):
            yield row, Found(next(spelt), score, sound_score)
