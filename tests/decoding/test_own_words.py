"""Own words in beam search: bonuses worked out by hand, and the same by brute force over random words."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2ray.config import TextConfig, TextUnit
from ds2ray.decoding import own_words
from ds2ray.decoding.beam import Beam
from ds2ray.decoding.fusion import NoFusion, TokenFusion, WordFusion
from ds2ray.decoding.language.language_model import LanguageModel
from ds2ray.decoding.language.ngrams import estimate
from ds2ray.decoding.own_words import OwnWords, OwnWordsFusion, WordTree
from ds2ray.text import Vocabulary

LETTERS = Vocabulary.from_tokens(" 'abcd", TextConfig())


def gains(words: dict[str, float], text: str, vocabulary: Vocabulary = LETTERS) -> list[float]:
    """What a path has gained after each token of the text, and at last at its end."""
    own = OwnWords([WordTree.of(words.items(), vocabulary)], vocabulary)
    place, total, totals = own.start(), 0.0, []
    for token in vocabulary.encode_and_tell(text)[0]:
        place, gained, _ = own.step(place, np.array([token]))
        total += float(gained[0])
        totals.append(total)
    return [*totals, total + float(own.finish(place)[0])]


@given(
    words=st.lists(st.lists(st.text("abcd '", min_size=1, max_size=5), max_size=6), min_size=1, max_size=3),
    text=st.text("abcd '", max_size=12),
    spaced=st.booleans(),
)
def test_steps_worked_out_beforehand_are_those_that_are_taken(words: list[list[str]], text: str, spaced: bool) -> None:
    vocabulary = LETTERS if spaced else Vocabulary.from_tokens("'abcd", TextConfig())
    trees: list[WordTree | None] = [None, *(WordTree.of(dict.fromkeys(own, 1.5).items(), vocabulary) for own in words)]
    known = OwnWords(trees, vocabulary)
    taken = OwnWords(trees, vocabulary)
    taken._steps = None
    assert known._steps is not None
    places = known.start(), taken.start()
    for token in vocabulary.encode_and_tell(text)[0]:
        tokens = np.full(len(trees), token)
        (found, *rest), (expected, *others) = known.step(places[0], tokens), taken.step(places[1], tokens)
        places = found, expected
        for one, other in zip((found, *rest), (expected, *others), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_tree_too_large_to_work_out_is_followed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_words, "MAX_STEPS", 10)
    assert WordTree.of([("abc", 1.0)], LETTERS).steps is None
    assert gains({"abc": 1.0}, "d abc d") == pytest.approx([0, 0, 1, 2, 3, 3, 3, 3])


@pytest.mark.parametrize(
    ("words", "text", "expected"),
    [
        (["abc"], "abc", [1, 2, 3, 3]),
        (["abc"], "ab", [1, 2, 0]),  # unfinished at the end
        (["abc"], "abd", [1, 2, 0, 0]),  # at another letter
        (["abc"], "ab c", [1, 2, 0, 0, 0]),  # at a space
        (["abc"], "abcd", [1, 2, 3, 0, 0]),  # a longer word
        (["abc"], "dabc", [0, 0, 0, 0, 0]),  # words begin after spaces
        (["abc"], "d abc d", [0, 0, 1, 2, 3, 3, 3, 3]),
        (["abc"], "abc'd", [1, 2, 3, 3, 3, 3]),  # a genitive
        (["ab", "abcd"], "ab abc", [1, 2, 2, 3, 4, 5, 2]),
        (["ab", "abcd"], "abc", [1, 2, 3, 0]),
        (["ab c"], "ab c", [1, 2, 3, 4, 4]),  # a phrase
        (["ab c"], "ab d", [1, 2, 3, 0, 0]),
        (["ab", "ab c"], "ab d", [1, 2, 3, 2, 2]),  # whose first word is one, too
        (["ab c", "c"], "ab c", [1, 2, 3, 4, 4]),
        (["a b c", "b"], "a b d", [1, 2, 3, 4, 1, 1]),  # a word inside a phrase that is left
        (["a b c", "b"], "a b", [1, 2, 3, 1]),
        (["a b c", "b d"], "a b d", [1, 2, 3, 4, 3, 3]),  # a phrase begins inside another one
        (["a b c", "b", "b d"], "a b a", [1, 2, 3, 4, 2, 1]),
    ],
)
def test_gains_worked_out_by_hand(words: list[str], text: str, expected: list[float]) -> None:
    assert gains(dict.fromkeys(words, 1.0), text) == pytest.approx(expected)


def test_the_heavier_of_two_words_that_are_spelt_alike_counts() -> None:
    assert gains({"ab": 2.0, "AB": 0.5, "abcd": 1.0}, "ab") == [2, 4, 4]
    assert gains({"ab": 0.5, "abcd": 1.0}, "ab") == [1, 2, 1]  # while it may still be the other one


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.text("ab", min_size=1, max_size=3), st.sampled_from([0.5, 1.0, 2.0]), max_size=4),
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=4),
)
def test_in_the_end_whole_words_have_gained_and_nothing_else(words: dict[str, float], said: list[str]) -> None:
    expected = sum(words.get(word, 0.0) * len(word) for word in said)
    assert gains(words, " ".join(said))[-1] == pytest.approx(expected)


@pytest.mark.parametrize("unit", TextUnit)
def test_korean_names_gain_with_a_particle_behind_them(unit: TextUnit) -> None:
    vocabulary = Vocabulary.from_transcripts(["김민수는 갔다", "민 수"], TextConfig(unit=unit))
    length = len(vocabulary.encode("민수"))
    for text, expected in (("민수 갔다", length), ("민수는 갔다", length), ("민 수", 0), ("김민수는", 0)):
        assert gains({"민수": 1.0}, text, vocabulary)[-1] == expected


def test_without_a_space_words_begin_and_end_anywhere() -> None:
    vocabulary = Vocabulary.from_tokens("abcd", TextConfig())
    assert gains({"abc": 1.0, "bd": 1.0}, "aabcabdd", vocabulary) == [1, 1, 2, 3, 4, 5, 5, 5, 5]


def test_each_row_follows_the_words_of_its_own_speaker() -> None:
    trees = [WordTree.of([(word, 1.0)], LETTERS) for word in ("ab", "ba")]
    own = OwnWords([trees[1], None, trees[0], trees[1]], LETTERS)
    places, totals = own.start(), np.zeros(4)
    for token in LETTERS.encode("ab"):
        places, gained, _ = own.step(places, np.full(4, token))
        totals += gained
    assert (totals + own.finish(places)).tolist() == [0, 0, 2, 0]


def test_words_that_cannot_be_spelt_are_told() -> None:
    tree = WordTree.of([("abé", 1.0), ("ab", 1.0), ("--", 1.0)], LETTERS)
    assert tree.unwritable == ("abé", "--")
    assert len(tree) == 3


def heard(fusion: OwnWordsFusion, sound: list[dict[str, float]]) -> str:
    """What a beam search hears in frames with these probabilities of letters, a blank behind each."""
    frames = []
    for letters in sound:
        rest = (1 - sum(letters.values())) / (len(LETTERS) - len(letters))
        frames += [[letters.get(token, rest) for token in LETTERS.tokens], [1 - 1e-6] + [1e-6 / 6] * 6]
    (row,) = Beam(fusion).decode(torch.tensor([frames]).log(), torch.tensor([len(frames)]))
    return LETTERS.decode(row.token_ids)


def own(words: list[str], other: object, weight: float = 1.0) -> OwnWordsFusion:
    return OwnWordsFusion(other, OwnWords([WordTree.of([(word, 1.0) for word in words], LETTERS)], LETTERS), weight)  # type: ignore[arg-type]


SOUND = [{"a": 0.6, "b": 0.3}, {"c": 0.6, "d": 0.3}, {" ": 0.9}, {"a": 0.9}]
"""Between `ac a`, `bd a` and others."""


def test_a_word_is_heard_that_the_sound_alone_would_lose() -> None:
    assert heard(own([], NoFusion()), SOUND) == "ac a"
    assert heard(own(["bd"], NoFusion()), SOUND) == "bd a"
    assert heard(own(["bdb"], NoFusion()), SOUND) == "ac a"
    assert heard(own(["bd"], NoFusion(), weight=0.1), SOUND) == "ac a"


@pytest.mark.parametrize("unknown_score", [-8.0, -math.inf])
@pytest.mark.parametrize("with_model", [True, False])
def test_own_words_join_the_lexicon_and_are_not_unknown(unknown_score: float, with_model: bool) -> None:
    model = LanguageModel(estimate([["ac", "a"], ["a", "ac"], ["a"]], 2)) if with_model else None
    lexicon = partial(WordFusion, ["ac", "a"], LETTERS, model=model, weight=0.5, unknown_score=unknown_score)
    assert heard(own([], lexicon()), SOUND) == "ac a"
    assert heard(own(["bd"], lexicon()), SOUND) == "bd a"
    assert heard(own(["bd ac"], lexicon()), SOUND) == "ac a"


def score(fusion: OwnWordsFusion, text: str) -> float:
    state, total = fusion.start(1), 0.0
    for token in LETTERS.encode(text):
        state, added = fusion.extend(state, np.array([token]))
        total += float(added[0])
    return total + float(fusion.finish(state)[0])


def test_scores_beside_a_lexicon_are_those_of_its_words_and_of_own_ones() -> None:
    lexicon = WordFusion(["ac", "acd"], LETTERS, word_score=0.25, unknown_score=-4.0)
    for text, expected in (
        ("ac", 0.25),
        ("bd", 0.25 + 2),  # an own word
        ("b", 0.25 - 4),
        ("bda", 0.25 - 4),
        ("ac bd'a acd", 0.75 + 2),
        ("bd b", 0.5 + 2 - 4),
        ("c d", 0.5 + 3),  # a phrase
        ("acda", 0.25 + 4),  # begins as a word of the lexicon
    ):
        assert score(own(["bd", "c d", "acda"], lexicon), text) == pytest.approx(expected), text


def test_beside_a_model_an_own_word_costs_as_much_as_a_middling_one() -> None:
    model = LanguageModel(estimate([["a", "ac"], ["a"], ["a", "acd", "a"]], 1))
    fusion = WordFusion(model.words[3:], LETTERS, model=model, weight=0.5, word_score=1.0, unknown_score=-8.0)
    others = sorted(score(own([], fusion), word) for word in ("a", "ac", "acd"))
    assert score(own(["bd"], fusion), "bd") == pytest.approx(others[1] + 2)
    assert score(own([], fusion), "bd") < others[0] - 8


def test_tokens_of_a_model_know_no_unknown_words() -> None:
    model = LanguageModel(estimate([list("ac")], 2))
    fusion = TokenFusion(model, LETTERS, 0.5, 0.0)
    assert score(own(["bd"], fusion), "bd") == pytest.approx(score(own([], fusion), "bd") + 2)
