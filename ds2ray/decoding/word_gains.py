"""What a path of beam search has gained by spelling own words, at each place in them.

Shapes: V size of the vocabulary, W words, M nodes of their tree.
"""

from dataclasses import dataclass

import numpy as np

from ds2ray.decoding.lexicon import OUTSIDE, ROOT, Lexicon
from ds2ray.text import Vocabulary


@dataclass(frozen=True)
class Ends:
    """The tokens at which words end.

    Attributes:
        space: the id of the space, or -1 in vocabularies without one, in which a word may begin and end anywhere.
        closes: [V] whether a word may end before this token.
    """

    space: int
    closes: np.ndarray

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> "Ends":
        """Those of a vocabulary: the space, and the apostrophe of a genitive."""
        tokens = vocabulary.tokens
        if " " not in tokens:
            return cls(-1, np.ones(len(tokens), bool))
        return cls(tokens.index(" "), np.array([token in (" ", "'") for token in tokens]))


@dataclass(frozen=True)
class Gains:
    """What a path has gained at each of the M nodes of a tree, per unit of bonus.

    Attributes:
        hope: [M] while the node's words are being spelt.
        floor: [M] what stays of it when they are left: words that have ended on the way, as the first of a phrase.
        left: [M] the same with those that have ended in words that began later.
        closed: [M] what stays where words may end: where there is one, that of the node, or one that began later.
        is_end: [M] whether the node ends a word.
        ends: [M] whether it or a node that it falls back to does.
        is_open: [M] whether that word may end before any token: Korean particles follow without a space.
        fallback: [M] the node of a word that began later on the same path, or `OUTSIDE`.
    """

    hope: np.ndarray
    floor: np.ndarray
    left: np.ndarray
    closed: np.ndarray
    is_end: np.ndarray
    ends: np.ndarray
    is_open: np.ndarray
    fallback: np.ndarray

    @classmethod
    def of(cls, lexicon: Lexicon, weights: np.ndarray, opens: np.ndarray, ends: Ends) -> "Gains":
        """Those of words with weights [W] and whether they are open [W]: an automaton of Aho and Corasick, 1975."""
        size, word_of = len(lexicon), lexicon.word_of
        parents, tokens = lexicon.parents.tolist(), lexicon.tokens.tolist()
        children = {(parents[node], tokens[node]): node for node in range(1, size)}
        depth, best = [0] * size, lexicon.best_below(weights)
        hope, floor, left, closed = ([0.0] * size for _ in range(4))
        is_end, ended, is_open = (word_of != OUTSIDE).tolist(), [False] * size, [False] * size
        fallback = [OUTSIDE] * size
        for node in range(1, size):  # parents come before their children, and shorter words before longer ones
            parent, token = parents[node], tokens[node]
            later = fallback[parent]
            while later != OUTSIDE and (later, token) not in children:
                later = fallback[later]
            begins_after = ends.space in (-1, token)
            fallback[node] = children[later, token] if later != OUTSIDE else ROOT if begins_after else OUTSIDE
            may_close = ended[parent] and (ends.closes[token] or is_open[parent])
            goes_on = later != OUTSIDE and not is_end[parent]
            floor[node] = max(floor[parent], closed[parent]) if may_close and not goes_on else floor[parent]
            depth[node] = depth[parent] + 1
            hope[node] = max(floor[node], float(best[node]) * depth[node])
            behind = fallback[node]
            left[node] = floor[node] + (left[behind] if behind != OUTSIDE else 0.0)
            ended[node] = is_end[node] or (behind != OUTSIDE and ended[behind])
            if is_end[node]:
                is_open[node] = bool(opens[word_of[node]])
                closed[node] = max(floor[node], float(weights[word_of[node]]) * depth[node])
            elif ended[node]:
                is_open[node], closed[node] = is_open[behind], floor[node] + closed[behind]
            else:
                closed[node] = left[node]
        return cls(*map(np.array, (hope, floor, left, closed, is_end, ended, is_open, fallback)))
