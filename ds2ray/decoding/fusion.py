"""What a beam search knows of the language: scores of words and tokens that are added to those of the sound.

Shapes: B rows, N paths of the search, S numbers that a path's state has.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ds2ray.decoding.language.language_model import NO_CONTEXT, LanguageModel
from ds2ray.decoding.language.ngrams import END_ID, SPECIAL, UNKNOWN_ID
from ds2ray.decoding.lexicon import OUTSIDE, ROOT, Lexicon
from ds2ray.errors import InputError
from ds2ray.text import Vocabulary

OWN = -2
"""Instead of a node or a word of the lexicon: one of the speaker's own, which the lexicon does not hold."""


class Fusion(Protocol):
    """A knowledge of the language: it follows the tokens of many paths at once and scores each step.

    All scores are natural logarithms, weighted; -inf forbids a step.
    """

    def start(self, num_rows: int) -> np.ndarray:
        """The states [B, S] of rows in which nothing has been said."""

    def extend(
        self, states: np.ndarray, tokens: np.ndarray, own: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The states [N, S] after one more token each, and the scores [N] of these steps.

        Args:
            states: [N, S]
            tokens: [N] ids.
            own: [N] whether the step spells or ends a word of the speaker's own, which a lexicon need not hold.
        """

    def may_end(self, states: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
        """Whether each path may end here [N], from states [N, S]: those at the start may."""

    def finish(self, states: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
        """The scores [N] of ending here, from states [N, S]."""


class NoFusion:
    """Nothing is known of the language: the sound decides alone."""

    name = "beam"

    def start(self, num_rows: int) -> np.ndarray:
        """Empty states [B, 0]."""
        return np.zeros((num_rows, 0), np.int64)

    def extend(
        self, states: np.ndarray, tokens: np.ndarray, own: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same states [N, 0] and scores [N] of 0."""
        return states, np.zeros(len(tokens))

    def may_end(self, states: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
        """Everywhere [N]."""
        return np.ones(len(states), bool)

    def finish(self, states: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
        """Scores [N] of 0."""
        return np.zeros(len(states))


class TokenFusion:
    """An n-gram model of tokens: no word is needed, as in scripts without spaces, and none is unknown."""

    name = "lm"

    def __init__(self, model: LanguageModel, vocabulary: Vocabulary, weight: float, word_score: float) -> None:
        self.model, self.weight = model, weight
        names = [token_name(token) for token in vocabulary.tokens]
        self._words = np.array([model.ids.get(name, UNKNOWN_ID) for name in names])
        self._scores = np.array([word_score if token == " " else 0.0 for token in vocabulary.tokens])

    def start(self, num_rows: int) -> np.ndarray:
        """The context [B, 1] of a sentence's first token."""
        return np.full((num_rows, 1), self.model.start)

    def extend(
        self, states: np.ndarray, tokens: np.ndarray, own: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The contexts [N, 1] that follow, and the tokens' scores [N]."""
        log_probs, contexts = self.model.step(states[:, 0], self._words[tokens])
        return contexts[:, None], self.weight * log_probs + self._scores[tokens]

    def may_end(self, states: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
        """Everywhere [N]."""
        return np.ones(len(states), bool)

    def finish(self, states: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
        """The scores [N] of a sentence's end."""
        return self.weight * self.model.step(states[:, 0], np.full(len(states), END_ID))[0]


class WordFusion:
    """A lexicon and, with a model, n-grams of its words.

    While a word is being spelt, it has the score of the likeliest word that can still come of it, as flashlight's
    decoder smears scores over its tree; when it ends, the score of the word itself takes that place.
    """

    def __init__(
        self,
        words: Sequence[str],
        vocabulary: Vocabulary,
        *,
        model: LanguageModel | None = None,
        weight: float = 0.0,
        word_score: float = 0.0,
        unknown_score: float = 0.0,
    ) -> None:
        """A fusion of words that can be spelt in the vocabulary; others, `unwritable`, are never heard.

        Args:
            weight: of the model's log-probabilities.
            word_score: for every word.
            unknown_score: for a word that the lexicon does not hold, beside the model's; -inf: none is heard.

        Raises:
            InputError: the vocabulary has no space, so that words have no ends, or can write none of the words.
        """
        if " " not in vocabulary.tokens:
            raise InputError("the base's vocabulary has no space, so that it hears no words; use a model of tokens")
        self._space = vocabulary.tokens.index(" ")
        spelt: list[tuple[str, list[int]]] = []
        self.unwritable: list[str] = []
        for word in words:
            token_ids, unknown = vocabulary.encode_and_tell(word)
            if unknown or not token_ids or self._space in token_ids:  # as in ice-cream, which is two words here
                self.unwritable.append(word)
            else:
                spelt.append((word, token_ids))
        if words and not spelt:
            shown = ", ".join(map(repr, words[:5]))
            raise InputError(
                f"the base can write none of the {len(words)} words {shown} …; take a text of its language"
            )
        self.name = "_".join(["lm"] * bool(model) + ["lexicon"] * (unknown_score == -np.inf)) or "beam"
        self.model, self.weight = model, weight
        self.lexicon = Lexicon.of([ids for _, ids in spelt], len(vocabulary))
        # by index of a word in the lexicon, and at the end, which OWN and OUTSIDE mean, of an own and an unknown one
        names = [*(word for word, _ in spelt), "", ""]
        self._ids = np.array([model.ids.get(name, UNKNOWN_ID) if model else UNKNOWN_ID for name in names])
        self._scores = np.full(len(names), word_score)
        self._scores[OUTSIDE] += unknown_score
        alone = self._scores + (weight * model.unigrams()[self._ids] if model else 0.0)
        known = model.unigrams()[len(SPECIAL) :] if model else np.zeros(0)
        self._middling = float(np.median(known)) if len(known) else 0.0  # an own word is taken for one of these
        alone[OWN] = word_score + weight * self._middling
        self._ahead = np.concatenate([self.lexicon.best_below(alone[:OWN]), alone[OWN:]])
        self._ahead[ROOT] = 0.0

    def start(self, num_rows: int) -> np.ndarray:
        """The root of the lexicon and the context of a sentence's first word [B, 2]."""
        return np.tile([ROOT, self.model.start if self.model else NO_CONTEXT], (num_rows, 1))

    def extend(
        self, states: np.ndarray, tokens: np.ndarray, own: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nodes and contexts [N, 2] that follow, and the scores [N]: of whole words at spaces, else of hopes."""
        nodes, contexts = states[:, 0], states[:, 1]
        following = self.lexicon.step(nodes, tokens)
        if own is not None:
            following[own & (following == OUTSIDE)] = OWN
        scores = self._ahead[following] - self._ahead[nodes]
        ends = np.flatnonzero(tokens == self._space)
        after = np.stack([following, contexts], axis=1)
        if len(ends):
            after[ends, 0] = ROOT
            scores[ends], after[ends, 1] = self._end_word(
                nodes[ends], contexts[ends], None if own is None else own[ends]
            )
            scores[ends[nodes[ends] == ROOT]] = -np.inf  # a second space
        return after, scores

    def may_end(self, states: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
        """Whether each path [N] has spelt a word, or none is begun; everywhere where unknown words are heard."""
        if self._scores[OUTSIDE] > -np.inf:
            return np.ones(len(states), bool)
        nodes = states[:, 0]
        of_lexicon = (nodes == ROOT) | ((self.lexicon.word_of[np.maximum(nodes, ROOT)] != OUTSIDE) & (nodes > ROOT))
        return of_lexicon if own is None else of_lexicon | own

    def finish(self, states: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
        """The scores [N] of ending the word and the sentence."""
        nodes, contexts = states[:, 0], states[:, 1].copy()
        scores = np.zeros(len(states))
        within = np.flatnonzero(nodes != ROOT)
        scores[within], contexts[within] = self._end_word(
            nodes[within], contexts[within], None if own is None else own[within]
        )
        if self.model:
            scores += self.weight * self.model.step(contexts, np.full(len(states), END_ID))[0]
        return scores

    def _end_word(
        self, nodes: np.ndarray, contexts: np.ndarray, own: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """What is still to be added to the hopes of words that end at these nodes [N], and the contexts that follow."""
        words: np.ndarray = np.where(nodes < ROOT, OUTSIDE, self.lexicon.word_of[np.maximum(nodes, ROOT)])
        if own is not None:
            words[own & (words == OUTSIDE)] = OWN
        scores = self._scores[words] - self._ahead[nodes]
        if self.model:
            log_probs, contexts = self.model.step(contexts, self._ids[words])
            log_probs = np.where(words == OWN, self._middling, log_probs)
            scores = scores + self.weight * log_probs
        return scores, contexts


def token_name(token: str) -> str:
    """The word that stands for a token in a model of tokens: words of such models hold no white space."""
    return "<space>" if token == " " else token
