"""ARPA files: n-gram models as text, as KenLM, SRILM and others write and read them.

The format stands in the manual page ngram-format of SRILM: probabilities and backoff weights to base 10, after
`\\data\\` the number of n-grams of each order, then each order's n-grams, a line each.
"""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from ds2ray.decoding.language.ngrams import NEVER, SPECIAL, NGrams, Order
from ds2ray.errors import InputError

_LN10 = math.log(10)
_COUNT = re.compile(r"ngram\s+(\d+)\s*=\s*(\d+)")
_HEADING = re.compile(r"\\(\d+)-grams:")
_ENDS = "\\end\\"
_SHOWN = 60
_Key = tuple[int, ...]
_Line = tuple[int, str]  # its number from 1, and its text


def write_arpa(ngrams: NGrams) -> Iterator[str]:
    """The lines of an ARPA file, each with its end of line."""
    yield "\\data\\\n"
    yield from (f"ngram {n}={len(order)}\n" for n, order in enumerate(ngrams.orders, start=1))
    texts = [""]
    for n, order in enumerate(ngrams.orders, start=1):
        yield from ("\n", f"\\{n}-grams:\n")
        contexts = order.context if n > 1 else np.zeros(len(order), np.int64)
        texts = [
            f"{texts[context]} {ngrams.words[word]}".lstrip(" ")
            for context, word in zip(contexts.tolist(), order.word.tolist(), strict=True)
        ]
        probs, backoffs = (order.log_prob / _LN10).tolist(), (order.backoff / _LN10).tolist()
        last = n == len(ngrams.orders)
        for text, prob, backoff in zip(texts, probs, backoffs, strict=True):
            yield f"{prob:.6g}\t{text}\n" if last else f"{prob:.6g}\t{text}\t{backoff:.6g}\n"
    yield from ("\n", f"{_ENDS}\n")


def read_arpa(lines: Iterable[str], where: str) -> NGrams:
    """The n-gram model of an ARPA file; n-grams whose contexts it lacks are refused.

    Args:
        where: the file, for messages.

    Raises:
        InputError: it is no ARPA file, or not all of it; says at which line.
    """
    numbered: Iterator[_Line] = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    try:
        counts, numbered = _read_counts(numbered)
        orders: list[Order] = []
        words: dict[str, int] = {word: i for i, word in enumerate(SPECIAL)}
        index: Mapping[_Key, int] = {}
        for n, count in enumerate(counts, start=1):
            order, index = _read_order(numbered, n, count, words, index)
            orders.append(order)
        if next(numbered, (0, ""))[1].strip() == _ENDS:
            return NGrams(tuple(words), tuple(orders))
        raise _FaultError(f"no {_ENDS} after the last n-gram: the file is cut off, or its counts are wrong")
    except _FaultError as error:
        raise InputError(f"{where}: not an ARPA file: {error}; make it again, or name another file") from error


class _FaultError(Exception):
    """What is wrong, and in which line."""


def _read_counts(numbered: Iterator[_Line]) -> tuple[list[int], Iterator[_Line]]:
    """The number of n-grams of each order, and the lines from the first heading on."""
    counts: list[int] = []
    began = False
    for number, line in numbered:
        text = line.strip()
        match = _COUNT.fullmatch(text)
        if not began:
            began = text == "\\data\\"
        elif match and int(match[1]) == len(counts) + 1:
            counts.append(int(match[2]))
        elif counts and _HEADING.fullmatch(text):
            return counts, itertools.chain([(number, line)], numbered)
        else:
            raise _FaultError(f"line {number} is {text[:_SHOWN]!r}, not the number of {len(counts) + 1}-grams")
    raise _FaultError("there is no \\data\\ with the numbers of n-grams, or nothing after it")


def _read_order(
    numbered: Iterator[_Line], n: int, count: int, words: dict[str, int], below: Mapping[_Key, int]
) -> tuple[Order, dict[_Key, int]]:
    """The n-grams of one order, and the index of each by the ids of its words.

    Args:
        words: ids, to which those of the single words are added.
        below: the index of the n-grams of the order below.
    """
    _read_heading(numbered, n)
    found: dict[_Key, tuple[float, float]] = {}
    for number, line in itertools.islice(numbered, count):
        fields = line.split()
        log_prob, backoff = _numbers(fields, n, number, line)
        if n == 1:
            words.setdefault(fields[1], len(words))
        unknown = [word for word in fields[1 : n + 1] if word not in words]
        if unknown:
            raise _FaultError(f"line {number}: the word {unknown[0]!r} is none of the 1-grams")
        key = tuple(words[word] for word in fields[1 : n + 1])
        if n > 1 and key[:-1] not in below:
            raise _FaultError(f"line {number}: there is no {n - 1}-gram {' '.join(fields[1:n])!r}, its context")
        if key in found:
            raise _FaultError(f"line {number}: {' '.join(fields[1 : n + 1])!r} is there twice")
        found[key] = log_prob * _LN10, backoff * _LN10
    if n == 1:
        for special in range(len(SPECIAL)):
            found.setdefault((special,), (NEVER, 0.0))
    keys = sorted(found)
    order = Order(
        context=np.array([below.get(key[:-1], 0) for key in keys], np.int64),
        word=np.array([key[-1] for key in keys], np.int64),
        log_prob=np.array([found[key][0] for key in keys], np.float64),
        backoff=np.array([found[key][1] for key in keys], np.float64),
    )
    return order, {key: i for i, key in enumerate(keys)}


def _read_heading(numbered: Iterator[_Line], n: int) -> None:
    number, line = next(numbered, (0, ""))
    heading = _HEADING.fullmatch(line.strip())
    if not number:
        raise _FaultError(f"there are no {n}-grams")
    if not heading or int(heading[1]) != n:
        raise _FaultError(f"line {number} is {line.strip()[:_SHOWN]!r}, not \\{n}-grams:")


def _numbers(fields: Sequence[str], n: int, number: int, line: str) -> tuple[float, float]:
    """The probability and the backoff weight of a line, to base 10."""
    try:
        if len(fields) not in (n + 1, n + 2):
            raise ValueError
        log_prob, backoff = float(fields[0]), float(fields[n + 1]) if len(fields) == n + 2 else 0.0
        if not math.isfinite(log_prob + backoff) or log_prob > 0:
            raise ValueError
    except ValueError:
        shown = line.strip()[:_SHOWN]
        raise _FaultError(f"line {number} is {shown!r}, not a probability, {n} words and a weight") from None
    return log_prob, backoff
