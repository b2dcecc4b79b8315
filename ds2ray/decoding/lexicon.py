"""A lexicon: words by their tokens, as a tree in which many paths are followed at once.

Shapes: N paths, M nodes of the tree, W words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

ROOT = 0
OUTSIDE = -1
"""Instead of a node: no word of the lexicon begins so. Instead of a word: the node ends none."""


@dataclass(frozen=True)
class Lexicon:
    """The tree of a lexicon. Node 0 is the root, before a word's first token.

    Attributes:
        word_of: [M] index of the word that ends at each node, or `OUTSIDE`.
        keys: [M - 1] of each node but the root, sorted: its parent and its token, as one number.
    """

    num_tokens: int
    word_of: np.ndarray
    keys: np.ndarray

    @classmethod
    def of(cls, spellings: Sequence[Sequence[int]], num_tokens: int) -> "Lexicon":
        """The lexicon of words by their token ids; of two words of the same tokens the later is found.

        Raises:
            ValueError: a word has no tokens.
        """
        if not all(map(len, spellings)):
            raise ValueError("a word without tokens cannot be in a lexicon")
        order = sorted(range(len(spellings)), key=lambda word: len(spellings[word]))
        lengths = np.array([len(spellings[word]) for word in order], np.int64)
        words, at = np.array(order, np.int64), np.zeros(len(order), np.int64)
        keys, ends, num_nodes = [np.zeros(0, np.int64)], [np.full(1, OUTSIDE)], 1
        for depth in range(int(lengths[-1]) if order else 0):
            longer = lengths > depth
            words, at, lengths = words[longer], at[longer], lengths[longer]
            tokens = np.array([spellings[word][depth] for word in words], np.int64)
            level, inverse = np.unique(at * num_tokens + tokens, return_inverse=True)
            at = num_nodes + inverse
            end = np.full(len(level), OUTSIDE)
            done = lengths == depth + 1
            end[inverse[done]] = words[done]
            keys.append(level)
            ends.append(end)
            num_nodes += len(level)
        # parents are numbered before their children, so that the keys of all levels together are sorted
        return cls(num_tokens, np.concatenate(ends), np.concatenate(keys))

    def __len__(self) -> int:
        """The number of nodes."""
        return len(self.word_of)

    def step(self, nodes: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The nodes [N] that these tokens [N] lead to; `OUTSIDE` where no word goes on so."""
        if not len(self.keys):
            return np.full(len(nodes), OUTSIDE)
        keys = nodes * self.num_tokens + tokens
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where((self.keys[places] == keys) & (nodes != OUTSIDE), places + 1, OUTSIDE)

    @cached_property
    def parents(self) -> np.ndarray:
        """The parent [M] of each node; the root is its own."""
        return np.concatenate([[ROOT], self.keys // self.num_tokens])

    @cached_property
    def tokens(self) -> np.ndarray:
        """The token [M] that leads to each node; to the root none does."""
        return np.concatenate([[OUTSIDE], self.keys % self.num_tokens])

    def best_below(self, scores: np.ndarray) -> np.ndarray:
        """At each node [M], the best score of all words that can still be reached from it.

        Args:
            scores: [W] of the words.
        """
        best = np.where(self.word_of == OUTSIDE, -np.inf, scores[self.word_of] if len(scores) else -np.inf)
        for node in range(len(best) - 1, ROOT, -1):
            parent = self.parents[node]
            best[parent] = max(best[parent], best[node])
        return best
