"""A language model: the probabilities of next words, for many histories at once.

Shapes: N histories, V words, S contexts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ds2ray.decoding.language.ngrams import END_ID, START_ID, UNKNOWN_ID, NGrams

NO_CONTEXT = 0
"""The context of which nothing is known; `LanguageModel.start` is that of a sentence's first word."""


@dataclass(frozen=True)
class Perplexity:
    """How well a model predicts a text: the inverse of the mean probability of its known words and sentence ends.

    Attributes:
        num_unknown: words that the model does not know, which count for nothing else here.
    """

    log_prob: float
    num_predicted: int
    num_unknown: int

    @property
    def value(self) -> float:
        """The perplexity, 1 at best; infinite for a text in which nothing is known."""
        return float(np.exp(-self.log_prob / self.num_predicted)) if self.num_predicted else float("inf")


class LanguageModel:
    """An n-gram model as an automaton: a context and a word give a probability and the next context.

    An n-gram that the model does not hold costs the backoff weight of its context, and that without its first word is
    looked up instead, as Katz, 1987, and the ARPA format have it.
    """

    def __init__(self, ngrams: NGrams) -> None:
        self.words = ngrams.words
        self.order = len(ngrams.orders)
        num_words = len(ngrams.words)
        # a context is named by the place of its n-gram among all n-grams, and 0 is the empty one
        offsets = np.cumsum([0, *(len(order) for order in ngrams.orders)])
        contexts = [np.zeros(len(ngrams.orders[0]), np.int64)]
        contexts += [1 + offsets[n] + order.context for n, order in enumerate(ngrams.orders[1:])]
        self._keys = np.concatenate(
            [context * num_words + order.word for context, order in zip(contexts, ngrams.orders, strict=True)]
        )
        self._log_probs = np.concatenate([order.log_prob for order in ngrams.orders])
        num_contexts = 1 + int(offsets[-2])
        self._backoffs = np.concatenate([[0.0], *(order.backoff for order in ngrams.orders[:-1])])
        self._shorter = np.zeros(num_contexts, np.int64)
        self._next = np.arange(1, len(self._keys) + 1)
        for n, order in enumerate(ngrams.orders):
            here = slice(offsets[n], offsets[n + 1])
            reached = self._longest(self._shorter[contexts[n]], order.word) if n else np.zeros(len(order), np.int64)
            if n + 1 < self.order:
                self._shorter[1 + offsets[n] : 1 + offsets[n + 1]] = reached
            else:
                self._next[here] = reached

    @cached_property
    def ids(self) -> dict[str, int]:
        """The words' ids."""
        return {word: i for i, word in enumerate(self.words)}

    @cached_property
    def start(self) -> int:
        """The context of the first word of a sentence."""
        return int(self.step(np.array([NO_CONTEXT]), np.array([START_ID]))[1][0])

    def step(self, contexts: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Natural logarithms of the words' probabilities [N] after these contexts, and the contexts that follow [N].

        Args:
            contexts: [N]
            words: [N] ids.
        """
        log_probs = np.zeros(len(words))
        reached = np.zeros(len(words), np.int64)
        todo, at = np.arange(len(words)), np.asarray(contexts, np.int64)
        while len(todo):
            keys = at * len(self.words) + words[todo]
            places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
            known = self._keys[places] == keys
            log_probs[todo[known]] += self._log_probs[places[known]]
            reached[todo[known]] = self._next[places[known]]
            todo, at = todo[~known], at[~known]
            log_probs[todo] += self._backoffs[at]
            at = self._shorter[at]
        return log_probs, reached

    def unigrams(self) -> np.ndarray:
        """Natural logarithms of the words' probabilities [V] where nothing is known of what comes before."""
        return self._log_probs[: len(self.words)]

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> Perplexity:
        """How well the model predicts sentences, each by itself; after an unknown word it knows no context."""
        log_prob, num_predicted, num_unknown = 0.0, 0, 0
        numbered = [[*(self.ids.get(word, UNKNOWN_ID) for word in sentence), END_ID] for sentence in sentences]
        contexts = np.full(len(numbered), self.start)
        for place in range(max(map(len, numbered), default=0)):
            rows = np.array([n for n, sentence in enumerate(numbered) if place < len(sentence)])
            words = np.array([numbered[row][place] for row in rows])
            log_probs, contexts[rows] = self.step(contexts[rows], words)
            known = words != UNKNOWN_ID
            log_prob += float(log_probs[known].sum())
            num_predicted += int(known.sum())
            num_unknown += int((~known).sum())
        return Perplexity(log_prob, num_predicted, num_unknown)

    def _longest(self, contexts: np.ndarray, words: np.ndarray) -> np.ndarray:
        """The longest context that ends with each word, from each of these contexts on."""
        return self.step(contexts, words)[1]
