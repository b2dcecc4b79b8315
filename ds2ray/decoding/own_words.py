"""The own words of users in beam search: names, places and phrases, which gain by being spelt.

Each token of such a word adds a bonus; where the word is left unfinished, all of it is taken back. Every row of a batch
follows the words of its own speaker, and the trees of all speakers are one array, so that they are followed at once.

Shapes: B rows, N paths of the search, S numbers of another fusion's state, M nodes of all trees.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from ds2ray.decoding.fusion import Fusion
from ds2ray.decoding.lexicon import OUTSIDE, Lexicon
from ds2ray.decoding.word_gains import Ends, Gains
from ds2ray.text import Vocabulary

MAX_STEPS = 2**16
"""Nodes times tokens of a tree up to which all its steps are worked out beforehand, in 13 bytes each."""

_OUTSIDE_WORDS, _BEHIND_A_WORD = -1, -2  # of `Steps.after`
_ENDS_IN_HANGUL = re.compile("[가-힣]$")


@dataclass(frozen=True)
class Steps:
    """The step from each of the M nodes of a tree by each of V tokens, see `OwnWords.step`.

    Attributes:
        after: int32 [M, V] the node, or where it leads outside the tree's words.
        gained: [M, V]
        is_own: bool [M, V]
    """

    after: np.ndarray
    gained: np.ndarray
    is_own: np.ndarray

    @classmethod
    def of(cls, tree: "WordTree", vocabulary: Vocabulary) -> "Steps | None":
        """Those of a tree; None where they are too many to keep."""
        size, num_tokens = len(tree), len(vocabulary)
        if size * num_tokens > MAX_STEPS:
            return None
        words = OwnWords([tree], vocabulary)
        root = int(words.start()[0])
        nodes, tokens = np.divmod(np.arange(size * num_tokens), num_tokens)
        after, gained, is_own = words.step(nodes + root, tokens)
        inside = np.where(after % 2 == 0, _BEHIND_A_WORD, _OUTSIDE_WORDS)
        after = np.where(after >= 0, after - root, inside).astype(np.int32)
        return cls(*(values.reshape(size, num_tokens) for values in (after, gained, is_own)))


@dataclass(frozen=True)
class WordTree:
    """The own words of one user as a tree; a phrase is a word with spaces in it.

    Attributes:
        unwritable: words that the vocabulary cannot spell.
        steps: all of them, worked out; None where they are too many.
    """

    lexicon: Lexicon
    gains: Gains
    unwritable: tuple[str, ...] = ()
    steps: Steps | None = None

    @classmethod
    def of(cls, words: Iterable[tuple[str, float]], vocabulary: Vocabulary) -> "WordTree":
        """The tree of words with their weights; of two that are spelt alike the heavier one counts."""
        weight_of: dict[tuple[int, ...], float] = {}
        unwritable = []
        for word, weight in words:
            token_ids, unknown = vocabulary.encode_and_tell(word)
            if unknown or not token_ids:
                unwritable.append(word)
            else:
                spelling = tuple(token_ids)
                weight_of[spelling] = max(weight, weight_of.get(spelling, weight))
        lexicon = Lexicon.of(list(weight_of), len(vocabulary))
        weights = np.array(list(weight_of.values()), float)
        opens = np.array([bool(_ENDS_IN_HANGUL.search(vocabulary.decode(spelling))) for spelling in weight_of], bool)
        tree = cls(lexicon, Gains.of(lexicon, weights, opens, Ends.of(vocabulary)), tuple(unwritable))
        return replace(tree, steps=Steps.of(tree, vocabulary)) if tree else tree

    def __len__(self) -> int:
        """The number of nodes."""
        return len(self.lexicon)

    def __bool__(self) -> bool:
        """Whether there is a word in it."""
        return len(self.lexicon) > 1


class OwnWords:
    """The trees of a batch's speakers in one array, where each row follows its own.

    A path's place is a node, or a negative number where it follows none: -1 - 2r outside the words of the root r until
    the next space, -2 - 2r behind a word that has ended before a token other than a space.
    """

    def __init__(self, trees: Sequence[WordTree | None], vocabulary: Vocabulary) -> None:
        """Trees of rows, one each; None: the row has no own words."""
        self._ends, self._num_tokens = Ends.of(vocabulary), len(vocabulary)
        nothing = WordTree.of([], vocabulary)
        distinct = list({id(tree): tree for tree in (nothing, *trees) if tree is not None}.values())
        begins = np.cumsum([0, *map(len, distinct)])
        root_of = {id(tree): int(begin) for tree, begin in zip(distinct, begins, strict=False)}
        self._rows = np.array([root_of[id(nothing if tree is None else tree)] for tree in trees], np.int64)
        self._roots = np.repeat(begins[:-1], np.diff(begins))
        offsets = list(zip(distinct, begins.tolist(), strict=False))
        # sorted, as trees follow each other
        self._keys = np.concatenate([tree.lexicon.keys + begin * self._num_tokens for tree, begin in offsets])
        self._children = np.concatenate([np.arange(begin + 1, begin + len(tree)) for tree, begin in offsets])
        joined = {f.name: np.concatenate([getattr(tree.gains, f.name) for tree in distinct]) for f in fields(Gains)}
        joined["fallback"][joined["fallback"] != OUTSIDE] += self._roots[joined["fallback"] != OUTSIDE]
        self._gains = Gains(**joined)
        self._steps = _joined_steps(offsets, self._ends, self._num_tokens)

    def start(self) -> np.ndarray:
        """The places [B] of rows in which nothing has been said."""
        return self._rows

    def step(self, places: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The places [N] after one more token each, what is gained [N], and whether own words are spelt [N]."""
        if self._steps is not None:
            return self._known_step(self._steps, places, tokens)
        after, gained = places.copy(), np.zeros(len(places))
        is_own = places % 2 == 0  # on a node, or behind a word: -2 - 2r
        ended = np.flatnonzero((places < 0) & (tokens == self._ends.space))
        after[ended] = (-1 - places[ended]) // 2
        on = np.flatnonzero(places >= 0)
        nodes, token = places[on], tokens[on]
        child = self._child(nodes, token)
        hit = np.flatnonzero(child != OUTSIDE)
        at, landed = on[hit], child[hit]
        is_own[at], after[at] = True, landed
        gained[at] = self._gains.hope[landed] - self._gains.hope[nodes[hit]]
        missed = np.flatnonzero(child == OUTSIDE)
        if len(missed):
            at = on[missed]
            after[at], gained[at], is_own[at] = self._leave(nodes[missed], token[missed])
        return after, gained, is_own

    def _known_step(
        self, steps: Steps, places: np.ndarray, tokens: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `step`, by what is worked out already."""
        is_on = places >= 0
        at = np.where(is_on, places, 0) * self._num_tokens + tokens
        again = ~is_on & (tokens == self._ends.space)
        elsewhere = np.where(again, (-1 - places) // 2, places)
        return (
            np.where(is_on, steps.after[at], elsewhere),
            np.where(is_on, steps.gained[at], 0.0),
            np.where(is_on, steps.is_own[at], places % 2 == 0),
        )

    def may_end(self, places: np.ndarray) -> np.ndarray:
        """Whether an own word ends here [N]."""
        return np.where(places < 0, places % 2 == 0, self._gains.ends[np.maximum(places, 0)])

    def finish(self, places: np.ndarray) -> np.ndarray:
        """What is gained [N] where the row ends: unfinished words give back what they had."""
        nodes = np.maximum(places, 0)
        return np.where(places < 0, 0.0, self._gains.closed[nodes] - self._gains.hope[nodes])

    def _child(self, nodes: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The nodes [N] that these tokens lead to, or `OUTSIDE`; nodes may be `OUTSIDE` as well."""
        if not len(self._keys):
            return np.full(len(nodes), OUTSIDE)
        keys = nodes * self._num_tokens + tokens
        found = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where((self._keys[found] == keys) & (nodes != OUTSIDE), self._children[found], OUTSIDE)

    def _leave(self, nodes: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The places, gains and own words of paths that leave their words at these nodes [N] by these tokens [N]."""
        gains, anywhere = self._gains, self._ends.space == -1
        closes = self._ends.closes[tokens] | gains.is_open[nodes]
        roots = self._roots[nodes]
        at = np.where(gains.is_end[nodes] & closes, roots if anywhere else OUTSIDE, gains.fallback[nodes])
        kept = np.where(gains.is_end[nodes] & closes, gains.closed[nodes], gains.floor[nodes])
        landed = self._child(at, tokens)
        while True:
            lost = np.flatnonzero((landed == OUTSIDE) & (at != OUTSIDE))
            if not len(lost):
                break
            kept[lost] += gains.floor[at[lost]]
            at[lost] = gains.fallback[at[lost]]
            landed[lost] = self._child(at[lost], tokens[lost])
        found, is_done = landed != OUTSIDE, gains.ends[nodes] & closes
        kept = np.where(found, kept + gains.hope[landed], np.where(is_done, gains.closed[nodes], gains.left[nodes]))
        begins = anywhere | (tokens == self._ends.space)
        outside = np.where(begins, roots, np.where(is_done, -2 - 2 * roots, -1 - 2 * roots))
        return np.where(found, landed, outside), kept - gains.hope[nodes], is_done | found


def _joined_steps(offsets: Sequence[tuple[WordTree, int]], ends: Ends, num_tokens: int) -> Steps | None:
    """The steps of all trees, which begin at these nodes, flattened; None where those of a tree are not worked out."""
    if not all(tree.steps for tree, _ in offsets if tree):
        return None
    begins = (ends.space == -1) | (np.arange(num_tokens) == ends.space)
    after, gained, is_own = [], [], []
    for tree, begin in offsets:
        if tree.steps is None:  # no words: nothing is ever spelt
            after.append(np.where(begins, begin, -1 - 2 * begin))
            gained.append(np.zeros(num_tokens))
            is_own.append(np.zeros(num_tokens, bool))
            continue
        local = tree.steps.after.ravel()
        after.append(np.where(local >= 0, local + begin, local - 2 * begin))
        gained.append(tree.steps.gained.ravel())
        is_own.append(tree.steps.is_own.ravel())
    return Steps(*map(np.concatenate, (after, gained, is_own)))


class OwnWordsFusion:
    """Another fusion, and beside it the own words of each row's speaker.

    The state [N, S + 1] is the other fusion's, followed by the place in the own words.
    """

    def __init__(self, other: Fusion, words: OwnWords, weight: float) -> None:
        """The bonus of a token in an own word of weight 1 is `weight`, in natural logarithms."""
        self.other, self.words, self.weight = other, words, weight

    def start(self, num_rows: int) -> np.ndarray:
        """The states [B, S + 1] of rows in which nothing has been said."""
        return _beside(self.other.start(num_rows), self.words.start())

    def extend(
        self, states: np.ndarray, tokens: np.ndarray, own: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The states [N, S + 1] after one more token each, and the scores [N] of these steps."""
        places, gained, own = self.words.step(states[:, -1], tokens)
        others, scores = self.other.extend(states[:, :-1], tokens, own)
        return _beside(others, places), scores + self.weight * gained

    def may_end(self, states: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
        """Whether each path may end here [N]."""
        may_end = self.other.may_end(states[:, :-1])
        return may_end if may_end.all() else self.other.may_end(states[:, :-1], self.words.may_end(states[:, -1]))

    def finish(self, states: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
        """The scores [N] of ending here."""
        places = states[:, -1]
        return self.other.finish(states[:, :-1], self.words.may_end(places)) + self.weight * self.words.finish(places)


def _beside(states: np.ndarray, places: np.ndarray) -> np.ndarray:
    """States [N, S] and places [N] as states [N, S + 1]."""
    both = np.empty((len(places), states.shape[1] + 1), np.int64)
    both[:, :-1], both[:, -1] = states, places
    return both
