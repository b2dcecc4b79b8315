"""Modified Kneser-Ney smoothing: numbers worked out by hand, and what holds for every text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2ray.decoding.language.language_model import LanguageModel
from ds2ray.decoding.language.ngrams import END, NEVER, START_ID, UNKNOWN, UNKNOWN_ID, NGrams, estimate

SENTENCES = st.lists(st.lists(st.sampled_from("abcd"), max_size=6), min_size=1, max_size=12)
TOY = [["a", "b"], ["a", "b"], ["a", "c"]]


def probability(model: LanguageModel, history: str, word: str) -> float:
    """Of a word after the words of a sentence so far."""
    context = np.array([model.start])
    for earlier in history.split():
        _, context = model.step(context, np.array([model.ids.get(earlier, UNKNOWN_ID)]))
    return float(np.exp(model.step(context, np.array([model.ids.get(word, UNKNOWN_ID)]))[0][0]))


def every_context(ngrams: NGrams) -> range:
    return range(1 + sum(map(len, ngrams.orders[:-1])))


def test_a_toy_text_by_hand() -> None:
    """Words follow 1 (a, b, c) or 2 (the end) different words, 5 in all: no three words follow 3, so that half of one
    and one of two are taken away, 2.5 of 5, and shared by 5 words, the unknown one among them, at 0.1 each.

    Of the pairs two occur once, two twice, one three times: y = 2 / (2 + 2·2) = 1/3, and taken away are
    1 - 2/3 = 1/3 of one, 2 - 3·(1/3)·(1/2) = 3/2 of two, and 3 - 4·(1/3)·0 = 3 of three.
    """
    model = LanguageModel(estimate(TOY, 2))
    assert probability(model, "z", "a") == pytest.approx(0.5 / 5 + 0.1)  # nothing is known after an unknown word
    assert probability(model, "z", END) == pytest.approx(1 / 5 + 0.1)
    assert probability(model, "z", UNKNOWN) == pytest.approx(0.1)
    freed_after_a = (3 / 2 + 1 / 3) / 3
    assert probability(model, "a", "b") == pytest.approx((2 - 3 / 2) / 3 + freed_after_a * 0.2)
    assert probability(model, "a", "c") == pytest.approx((1 - 1 / 3) / 3 + freed_after_a * 0.2)
    assert probability(model, "a", "a") == pytest.approx(freed_after_a * 0.2)
    assert probability(model, "a b", END) == pytest.approx((2 - 3 / 2) / 2 + (3 / 2) / 2 * 0.3)
    assert probability(model, "", "a") == pytest.approx((3 - 3) / 3 + 3 / 3 * 0.2)


def test_the_last_discounts_are_those_of_all_larger_counts() -> None:
    """Single words of order 1 are counted as they occur: a 5, b 3, c 2, d 1, ends 1, 12 in all."""
    model = LanguageModel(estimate([list("aaaaabbbccd")], 1))
    y = 2 / (2 + 2 * 1)  # two occur once, one twice, one three times, none four times
    taken = [1 - 2 * y * 1 / 2, 2 - 3 * y * 1 / 1, 3 - 4 * y * 0 / 1]
    freed = (2 * taken[0] + taken[1] + 2 * taken[2]) / 12
    assert probability(model, "", "a") == pytest.approx((5 - taken[2]) / 12 + freed / 6)
    assert probability(model, "", "c") == pytest.approx((2 - taken[1]) / 12 + freed / 6)
    assert probability(model, "", "z") == pytest.approx(freed / 6)


def test_what_is_pruned_goes_to_shorter_contexts() -> None:
    ngrams = estimate(TOY, 2, [2])
    assert len(ngrams.orders[1]) == 3  # <s> a, a b, b </s>
    model = LanguageModel(ngrams)
    freed_after_a = (3 / 2 + 1) / 3  # what is taken of a b, and all of a c
    assert probability(model, "a", "b") == pytest.approx((2 - 3 / 2) / 3 + freed_after_a * 0.2)
    assert probability(model, "a", "c") == pytest.approx(freed_after_a * 0.2)
    assert probability(model, "c", END) == pytest.approx(0.3)


@settings(max_examples=60, deadline=None)
@given(SENTENCES, st.integers(1, 4), st.sampled_from([[], [2], [1, 2], [2, 2, 3]]))
def test_probabilities_add_up_to_one_after_every_context(
    sentences: list[list[str]], order: int, min_counts: list[int]
) -> None:
    ngrams = estimate(sentences, order, min_counts)
    model = LanguageModel(ngrams)
    words = np.arange(len(model.words))
    for context in every_context(ngrams):
        probs = np.exp(model.step(np.full(len(words), context), words)[0])
        assert probs.sum() == pytest.approx(1)
        assert (np.delete(probs, START_ID) > 0).all()
        assert probs[START_ID] <= np.exp(NEVER / 2)


@settings(max_examples=30, deadline=None)
@given(SENTENCES)
def test_the_order_of_sentences_changes_nothing(sentences: list[list[str]]) -> None:
    shuffled = sorted(sentences)
    one, other = estimate(sentences, 3), estimate(shuffled, 3)
    assert one.words == other.words
    for order, same in zip(one.orders, other.orders, strict=True):
        assert order.word.tolist() == same.word.tolist()
        assert order.context.tolist() == same.context.tolist()
        assert order.log_prob.tolist() == pytest.approx(same.log_prob.tolist())


def test_an_empty_text_knows_nothing() -> None:
    model = LanguageModel(estimate([], 3))
    assert probability(model, "", "a") == probability(model, "", END) == pytest.approx(1 / 2)


@pytest.mark.parametrize(("order", "min_counts"), [(0, []), (3, [2, 1])])
def test_what_gives_no_model_is_refused(order: int, min_counts: list[int]) -> None:
    with pytest.raises(ValueError, match="rising counts"):
        estimate(TOY, order, min_counts)
