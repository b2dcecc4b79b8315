"""The automaton of a language model against the definition of backoff, and perplexity."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2ray.decoding.language.language_model import LanguageModel
from ds2ray.decoding.language.ngrams import END_ID, START_ID, UNKNOWN_ID, NGrams, estimate

SENTENCES = st.lists(st.lists(st.sampled_from("abc"), max_size=6), min_size=1, max_size=8)


def table_of(ngrams: NGrams) -> dict[tuple[int, ...], tuple[float, float]]:
    """Log-probability and weight of each n-gram by the ids of its words."""
    table: dict[tuple[int, ...], tuple[float, float]] = {}
    below: list[tuple[int, ...]] = [()]
    for order in ngrams.orders:
        keys = [
            (*below[context], word) for context, word in zip(order.context.tolist(), order.word.tolist(), strict=True)
        ]
        table |= dict(zip(keys, zip(order.log_prob.tolist(), order.backoff.tolist(), strict=True), strict=True))
        below = keys
    return table


def by_definition(table: dict[tuple[int, ...], tuple[float, float]], history: tuple[int, ...], word: int) -> float:
    if (*history, word) in table:
        return table[*history, word][0]
    return table.get(history, (0.0, 0.0))[1] + by_definition(table, history[1:], word)


@settings(max_examples=40, deadline=None)
@given(SENTENCES, st.lists(st.integers(0, 5), max_size=6), st.integers(1, 4), st.sampled_from([[], [2]]))
def test_many_histories_at_once_have_the_probabilities_of_the_definition(
    sentences: list[list[str]], text: list[int], order: int, min_counts: list[int]
) -> None:
    ngrams = estimate(sentences, order, min_counts)
    model, table = LanguageModel(ngrams), table_of(ngrams)
    text = [word for word in text if word < len(model.words) and word != START_ID]
    contexts = np.full(2, model.start)
    history: tuple[int, ...] = (START_ID,)
    for word in text:
        (log_prob, of_end), contexts_after = model.step(contexts, np.array([word, END_ID]))
        shorter = history[1 - order :] if order > 1 else ()
        assert log_prob == pytest.approx(by_definition(table, shorter, word))
        assert of_end == pytest.approx(by_definition(table, shorter, END_ID))
        contexts, history = np.repeat(contexts_after[:1], 2), (*history[-order:], word)


def test_perplexity_is_of_known_words_and_ends() -> None:
    model = LanguageModel(estimate([["a"], ["a"], ["b"]], 1))  # a 2, b 1, ends 3, of 6
    probs = np.exp(model.unigrams())
    found = model.perplexity([["a", "z"], []])
    expected = math.log(probs[model.ids["a"]]) + 2 * math.log(probs[END_ID])
    assert (found.num_predicted, found.num_unknown) == (3, 1)
    assert found.log_prob == pytest.approx(expected)
    assert found.value == pytest.approx(math.exp(-expected / 3))
    assert model.ids["<unk>"] == UNKNOWN_ID


def test_perplexity_of_nothing_is_infinite() -> None:
    assert LanguageModel(estimate([["a"]], 2)).perplexity([]).value == math.inf
