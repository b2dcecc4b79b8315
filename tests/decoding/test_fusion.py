"""What words and tokens add to a reading: in the end the scores of the language model and nothing else."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2ray.config import LanguageModelUnit, TextConfig, TextUnit
from ds2ray.decoding.fusion import Fusion, TokenFusion, WordFusion
from ds2ray.decoding.language.language_model import LanguageModel
from ds2ray.decoding.language.ngrams import END, START, UNKNOWN, estimate
from ds2ray.decoding.language.sentences import Sentences
from ds2ray.errors import InputError
from ds2ray.text import Vocabulary

TEXTS = ["a b", "ab a", "ab ba b", "a"]
VOCABULARY = Vocabulary.from_transcripts(TEXTS, TextConfig())
MODEL = LanguageModel(estimate([text.split() for text in TEXTS], 3))
WORDS = MODEL.words[3:]


def score(fusion: Fusion, token_ids: list[int]) -> float:
    state, total = fusion.start(1), 0.0
    for token in token_ids:
        state, added = fusion.extend(state, np.array([token]))
        total += float(added[0])
    return total + float(fusion.finish(state)[0])


def log_prob(model: LanguageModel, units: list[str]) -> float:
    context, total = np.array([model.start]), 0.0
    for unit in [*units, END]:
        added, context = model.step(context, np.array([model.ids.get(unit, model.ids[UNKNOWN])]))
        total += float(added[0])
    return total


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab", min_size=1, max_size=3), max_size=5))
def test_a_sentence_has_the_score_of_its_words(words: list[str]) -> None:
    fusion = WordFusion(WORDS, VOCABULARY, model=MODEL, weight=0.8, word_score=0.5, unknown_score=-4.0)
    num_unknown = sum(word not in WORDS for word in words)
    expected = 0.8 * log_prob(MODEL, words) + 0.5 * len(words) - 4.0 * num_unknown
    assert score(fusion, VOCABULARY.encode(" ".join(words))) == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text("ab", min_size=1, max_size=3), max_size=5))
def test_a_lexicon_alone_counts_words_and_forbids_others(words: list[str]) -> None:
    fusion = WordFusion(WORDS, VOCABULARY, word_score=0.5, unknown_score=-math.inf)
    known = set(words) <= set(WORDS)
    with np.errstate(invalid="ignore"):  # after a forbidden step there is nothing to add
        found = score(fusion, VOCABULARY.encode(" ".join(words)))
    assert found == pytest.approx(0.5 * len(words)) if known else not math.isfinite(found)


def test_no_two_spaces_follow_each_other() -> None:
    space = VOCABULARY.tokens.index(" ")
    fusion = WordFusion(WORDS, VOCABULARY, model=MODEL, weight=1.0)
    state = fusion.start(1)
    assert fusion.extend(state, np.array([space]))[1] == -math.inf
    for token in [*VOCABULARY.encode("a"), space]:
        state, _ = fusion.extend(state, np.array([token]))
    assert fusion.extend(state, np.array([space]))[1] == -math.inf


@pytest.mark.parametrize("unit", TextUnit)
def test_korean_words_are_spelt_in_syllables_and_in_jamo(unit: TextUnit) -> None:
    texts = ["거실 불 켜 줘", "부엌 불 꺼 줘"]
    vocabulary = Vocabulary.from_transcripts(texts, TextConfig(unit=unit))
    sentences = list(Sentences(vocabulary, LanguageModelUnit.word).read(texts))
    assert sentences == [text.split() for text in texts]
    model = LanguageModel(estimate(sentences, 2))
    fusion = WordFusion(model.words[3:], vocabulary, model=model, weight=1.0, unknown_score=-math.inf)
    for text in texts:
        assert score(fusion, vocabulary.encode(text)) == pytest.approx(log_prob(model, text.split()))


@pytest.mark.parametrize("unit", TextUnit)
def test_tokens_of_any_script_have_the_scores_of_their_model(unit: TextUnit) -> None:
    texts = ["거실 불", "불 꺼"]
    vocabulary = Vocabulary.from_transcripts(texts, TextConfig(unit=unit))
    sentences = list(Sentences(vocabulary, LanguageModelUnit.token).read(texts))
    assert sentences[0] == [
        "<space>" if t == " " else t for t in (vocabulary.tokens[i] for i in vocabulary.encode("거실 불"))
    ]
    model = LanguageModel(estimate(sentences, 3))
    fusion = TokenFusion(model, vocabulary, weight=0.5, word_score=0.25)
    expected = 0.5 * log_prob(model, sentences[0]) + 0.25  # one space
    assert score(fusion, vocabulary.encode("거실 불")) == pytest.approx(expected)


def test_words_that_the_base_cannot_write_are_never_heard() -> None:
    model = LanguageModel(estimate([["a", "é"], ["a-b", "--"]], 2))
    fusion = WordFusion(model.words[3:], VOCABULARY, model=model, weight=1.0, unknown_score=-math.inf)
    assert len(fusion.lexicon) == 2  # the root, and that of a
    assert fusion.unwritable == ["--", "a-b", "é"]  # of which the base would write nothing, two words, and none
    assert math.isfinite(score(fusion, VOCABULARY.encode("a")))


def test_a_text_of_another_script_is_refused() -> None:
    with pytest.raises(InputError, match="can write none of the 2 words 'é', 'ü'"):
        WordFusion(["é", "ü"], VOCABULARY)


def test_a_base_without_a_space_hears_no_words() -> None:
    with pytest.raises(InputError, match="no space"):
        WordFusion(["a"], Vocabulary.from_tokens("ab", TextConfig()))


def test_sentences_are_normalised_and_what_cannot_be_written_is_counted() -> None:
    sentences = Sentences(VOCABULARY, LanguageModelUnit.word)
    assert list(sentences.read(["A, b!", " ", "a café b café", START])) == [
        ["a", "b"],
        ["a", UNKNOWN, "b", UNKNOWN],
        [UNKNOWN],
    ]
    assert (sentences.num_words, dict(sentences.unwritable)) == (7, {"café": 2, "<s>": 1})
    tokens = Sentences(VOCABULARY, LanguageModelUnit.token)
    assert list(tokens.read(["ab é"])) == [["a", "b", "<space>", UNKNOWN]]
