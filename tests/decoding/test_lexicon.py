"""The tree of a lexicon finds the words in it and no others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray.decoding.lexicon import OUTSIDE, ROOT, Lexicon

WORDS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), max_size=12, unique_by=tuple)


def follow(lexicon: Lexicon, tokens: list[int]) -> int:
    node = np.array([ROOT])
    for token in tokens:
        node = lexicon.step(node, np.array([token]))
    return int(node[0])


@given(WORDS, st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_it_holds_its_words_and_their_beginnings(words: list[list[int]], other: list[int]) -> None:
    lexicon = Lexicon.of(words, 4)
    beginnings = {tuple(word[:end]) for word in words for end in range(len(word) + 1)} | {()}
    assert len(lexicon) == len(beginnings)
    for number, word in enumerate(words):
        assert lexicon.word_of[follow(lexicon, word)] == number
    node = follow(lexicon, other)
    assert (node != OUTSIDE) == (tuple(other) in beginnings)
    if node != OUTSIDE and other not in words:
        assert lexicon.word_of[node] == OUTSIDE


@given(WORDS.filter(len), st.data())
def test_the_best_word_below_each_node(words: list[list[int]], data: st.DataObject) -> None:
    scores = np.array(data.draw(st.lists(st.floats(-9, 0), min_size=len(words), max_size=len(words))))
    lexicon = Lexicon.of(words, 4)
    best = lexicon.best_below(scores)
    for word in words:
        for end in range(len(word) + 1):
            below = [score for other, score in zip(words, scores, strict=True) if other[:end] == word[:end]]
            assert best[follow(lexicon, word[:end])] == max(below)


def test_a_word_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="without tokens"):
        Lexicon.of([[1], []], 4)
