"""N-grams with probabilities and backoff weights, estimated from sentences by modified Kneser-Ney smoothing.

Shapes: N n-grams of one order, V words.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

UNKNOWN, START, END = "<unk>", "<s>", "</s>"
UNKNOWN_ID, START_ID, END_ID = 0, 1, 2
SPECIAL = (UNKNOWN, START, END)
"""The first words of every model: any word that it does not know, the start and the end of a sentence."""
NEVER = -99 * float(np.log(10))
"""Log-probability of what is never predicted, as the start of a sentence: -99 in base 10, as ARPA files have it."""
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""For texts too small to estimate discounts from, as lmplz has them."""


@dataclass(frozen=True)
class Order:
    """The n-grams of one order, sorted by context and word.

    Attributes:
        context: [N] index of all words but the last among the n-grams of the order below; 0 for single words.
        word: [N] id of the last word.
        log_prob: [N] natural logarithm of the probability of the word after the context.
        backoff: [N] natural logarithm of the weight of shorter contexts after this n-gram.
    """

    context: np.ndarray
    word: np.ndarray
    log_prob: np.ndarray
    backoff: np.ndarray

    def __len__(self) -> int:
        return len(self.word)


@dataclass(frozen=True)
class NGrams:
    """An n-gram model: its words by id, and its n-grams by order, from single words on."""

    words: tuple[str, ...]
    orders: tuple[Order, ...]


@dataclass(frozen=True)
class _Counted:
    """The different n-grams of one order in a text.

    Attributes:
        raw: [N] how often each occurs.
        suffix: [N] index of all words but the first among the n-grams of the order below.
        starts: [N] whether it begins a sentence.
    """

    context: np.ndarray
    word: np.ndarray
    raw: np.ndarray
    suffix: np.ndarray
    starts: np.ndarray


def estimate(sentences: Iterable[Sequence[str]], order: int, min_counts: Sequence[int] = ()) -> NGrams:
    """An n-gram model of sentences by interpolated modified Kneser-Ney smoothing.

    Chen and Goodman, 1998, section 3; counts of what begins a sentence are not of contexts but of occurrences, and
    probability is shared with words never seen by the uniform distribution over all words, both as in Heafield et
    al., 2013. What pruning takes away goes to the shorter contexts, so that probabilities still add up to one.

    Args:
        sentences: the words of each; `<unk>` among them is a word.
        order: of the longest n-grams, 1 or more.
        min_counts: of n-grams that are kept, from pairs of words on; the last one also holds for all longer ones.

    Raises:
        ValueError: the order is below 1, or smaller counts are wanted of longer n-grams, which would lack contexts.
    """
    wanted = [1, *min_counts, *[min_counts[-1] if min_counts else 1] * order][:order]
    if order < 1 or sorted(wanted) != wanted:
        raise ValueError(f"an order of 1 or more and rising counts are wanted, not {order} and {list(min_counts)}")
    words, text, ends = _numbered(sentences)
    counted = _count(text, ends, len(words), order)
    return NGrams(words, tuple(_orders(counted, len(words), wanted)))


def _numbered(sentences: Iterable[Sequence[str]]) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """The words, the text as word ids with starts and ends of sentences, and at each place the end of its sentence."""
    ids = {word: i for i, word in enumerate(SPECIAL)}
    text: list[int] = []
    lengths: list[int] = []
    for sentence in sentences:
        numbers = [ids.setdefault(word, len(ids)) for word in sentence]
        text += [START_ID, *numbers, END_ID]
        lengths.append(len(numbers) + 2)
    ends = np.repeat(np.cumsum(lengths, dtype=np.int64), lengths)
    # sorted, so that the model does not depend on the order of the sentences
    words = (*SPECIAL, *sorted(ids.keys() - set(SPECIAL)))
    place = {word: i for i, word in enumerate(words)}
    rank = np.array([place[word] for word in ids], dtype=np.int64)
    return words, rank[np.array(text, dtype=np.int64)], ends


def _count(text: np.ndarray, ends: np.ndarray, num_words: int, order: int) -> list[_Counted]:
    raw = np.bincount(text, minlength=num_words)
    every = np.arange(num_words)
    counted = [_Counted(np.zeros(num_words, np.int64), every, raw, np.zeros(num_words, np.int64), every == START_ID)]
    ids = text  # of the n-gram that begins at each place
    for length in range(2, order + 1):
        places = np.flatnonzero(np.arange(len(text)) + length <= ends)
        keys = ids[places] * num_words + text[places + length - 1]
        found, first, inverse, raw = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        context = found // num_words
        suffix = ids[places[first] + 1]
        counted.append(_Counted(context, found % num_words, raw, suffix, counted[-1].starts[context]))
        ids = np.full(len(text), -1)
        ids[places] = inverse
    return counted


def _orders(counted: Sequence[_Counted], num_words: int, min_counts: Sequence[int]) -> Iterable[Order]:
    """Probabilities from single words on, and the weights of contexts with those of the order above."""
    kept = [
        np.ones(num_words, bool),
        *(each.raw >= least for each, least in zip(counted[1:], min_counts[1:], strict=True)),
    ]
    shorter = np.full(1, 1 / (num_words - 1))  # a start is never predicted
    probs: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    for n, each in enumerate(counted):
        adjusted = _adjusted(each, counted[n + 1] if n + 1 < len(counted) else None)
        if n == 0:
            adjusted[START_ID] = 0
        discount = np.minimum(_discounts(adjusted)[np.minimum(adjusted, 3)], adjusted)
        num_contexts = len(counted[n - 1].word) if n else 1
        total = np.bincount(each.context, adjusted, num_contexts)
        freed = np.bincount(each.context, np.where(kept[n], discount, adjusted), num_contexts)
        weight = np.divide(freed, total, out=np.ones(num_contexts), where=total > 0)
        share = np.divide(adjusted - discount, total[each.context], out=np.zeros(len(adjusted)), where=adjusted > 0)
        shorter = share + weight[each.context] * shorter[each.suffix]
        probs.append(shorter)
        weights.append(weight)
    new_index = np.zeros(1, np.int64)
    for n, each in enumerate(counted):
        log_prob = _log(probs[n])
        if n == 0:
            log_prob[START_ID] = NEVER
        backoff = _log(weights[n + 1]) if n + 1 < len(counted) else np.zeros(len(log_prob))
        of_kept = kept[n]
        yield Order(new_index[each.context[of_kept]], each.word[of_kept], log_prob[of_kept], backoff[of_kept])
        new_index = np.cumsum(of_kept) - 1


def _log(values: np.ndarray) -> np.ndarray:
    """Logarithms that no reader of the model has to treat as infinite."""
    return np.log(np.maximum(values, np.exp(NEVER)))


def _adjusted(counted: _Counted, longer: _Counted | None) -> np.ndarray:
    """Counts of occurrences for the longest n-grams and those that begin a sentence, else of different words before."""
    if longer is None:
        return counted.raw.copy()
    before = np.bincount(longer.suffix, minlength=len(counted.word))
    return np.where(counted.starts, counted.raw, before)


def _discounts(adjusted: np.ndarray) -> np.ndarray:
    """What is taken from counts of 0, 1, 2, and 3 or more: equation 26 of Chen and Goodman."""
    n1, n2, n3, n4 = (int(np.count_nonzero(adjusted == count)) for count in (1, 2, 3, 4))
    if min(n1, n2, n3) > 0:
        y = n1 / (n1 + 2 * n2)
        discounts = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
        if all(0 <= discount <= count for count, discount in enumerate(discounts, start=1)):
            return np.array([0.0, *discounts])
    return np.array([0.0, *FALLBACK_DISCOUNTS])
