"""Prefix beam search against the enumeration of all paths, alone and with what is known of the language."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2ray.config import TextConfig
from ds2ray.decoding.fusion import Fusion, NoFusion, TokenFusion, WordFusion
from ds2ray.decoding.language.language_model import LanguageModel
from ds2ray.decoding.language.ngrams import estimate
from ds2ray.decoding.search import search
from ds2ray.text import Vocabulary

VOCABULARY = Vocabulary.from_transcripts(["ab"], TextConfig())  # blank, space, a, b
MODEL = LanguageModel(estimate([["a"], ["ab", "a"], ["ab"]], 2))
ALL = 4096
"""A width that holds every prefix of so few frames."""


def random_log_probs(seed: int, num_rows: int, num_frames: int) -> np.ndarray:
    """[B, T, V], some frames sure and some not."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(num_rows, num_frames, len(VOCABULARY))) * rng.choice(
        [0.5, 2.0], (num_rows, num_frames, 1)
    )
    return logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)


def every_reading(log_probs: np.ndarray) -> dict[tuple[int, ...], float]:
    """The log-probability of everything that a row [T, V] may spell, as CTC defines it: the sum over all paths."""
    sums: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        spelt = tuple(token for n, token in enumerate(path) if token and (n == 0 or path[n - 1] != token))
        score = float(sum(log_probs[n, token] for n, token in enumerate(path)))
        sums[spelt] = float(np.logaddexp(sums.get(spelt, -np.inf), score))
    return sums


def fused(fusion: Fusion, token_ids: tuple[int, ...]) -> float:
    """What a fusion adds to a reading."""
    state, total = fusion.start(1), 0.0
    for token in token_ids:
        state, score = fusion.extend(state, np.array([token]))
        total += float(score[0])
        if total == -np.inf:
            return total
    return total + float(fusion.finish(state)[0])


def fusions() -> list[Fusion]:
    words = ("a", "ab")
    return [
        NoFusion(),
        WordFusion(words, VOCABULARY, model=MODEL, weight=0.7, word_score=0.4, unknown_score=-1.0),
        WordFusion(words, VOCABULARY, model=MODEL, weight=0.7, unknown_score=-np.inf),
        WordFusion(words, VOCABULARY, unknown_score=-np.inf),
        TokenFusion(LanguageModel(estimate([list("ab"), ["a", "<space>", "b"]], 2)), VOCABULARY, 0.5, 0.3),
    ]


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("seed", range(4))
def test_the_best_readings_are_those_of_all_paths(kind: int, seed: int) -> None:
    fusion = fusions()[kind]
    log_probs = random_log_probs(seed, num_rows=3, num_frames=5)
    lengths = np.array([5, 0, 4])
    for row, found in enumerate(search(log_probs, lengths, fusion, ALL, num_best=4)):
        sums = every_reading(log_probs[row, : lengths[row]])
        scores = {spelt: score + fused(fusion, spelt) for spelt, score in sums.items()}
        expected = sorted((score for score in scores.values() if score > -np.inf), reverse=True)[:4]
        assert [each.score for each in found] == pytest.approx(expected, abs=1e-3)
        for each in found:
            assert scores[tuple(each.token_ids)] == pytest.approx(each.score, abs=1e-3)
            assert sums[tuple(each.token_ids)] == pytest.approx(each.sound_score, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 8), st.integers(0, 4))
def test_a_row_is_read_in_any_company_as_alone(seed: int, num_rows: int, width: int, kind: int) -> None:
    log_probs = random_log_probs(seed, num_rows, 12)
    lengths = np.random.default_rng(seed).integers(0, 13, num_rows)
    together = search(log_probs, lengths, fusions()[kind], width, num_best=2)
    for row, length in enumerate(lengths.tolist()):
        (alone,) = search(log_probs[row : row + 1, :length], np.array([length]), fusions()[kind], width, num_best=2)
        assert [each.token_ids for each in alone] == [each.token_ids for each in together[row]]
        assert [each.score for each in alone] == pytest.approx([each.score for each in together[row]])


class OwnToken(NoFusion):
    """Each row of a batch has a token of its own, which is likely there."""

    def start(self, num_rows: int) -> np.ndarray:
        return 2 + np.arange(num_rows)[:, None] % 2

    def extend(
        self, states: np.ndarray, tokens: np.ndarray, own: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        return states, np.where(states[:, 0] == tokens, 2.0, 0.0)


def test_what_is_known_of_a_row_is_known_of_no_other() -> None:
    log_probs = np.repeat(log_probs_of("a b-a"), 4, axis=0)
    log_probs[:, [0, 2, 4], 2:] = np.log(0.5)  # a or b
    found = search(log_probs, np.array([1, 5, 3, 4]), OwnToken(), 8)
    assert [VOCABULARY.decode(each[0].token_ids) for each in found] == ["a", "b bb", "a a", "b b"]


def log_probs_of(path: str, sure: float = 8.0) -> np.ndarray:
    """[1, T, V] in which the tokens of a path, `-` for the blank, are far likelier than all others."""
    ids = [0 if token == "-" else VOCABULARY.tokens.index(token) for token in path]
    logits = np.zeros((1, len(ids), len(VOCABULARY)))
    logits[0, np.arange(len(ids)), ids] = sure
    return logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)


@pytest.mark.parametrize(
    ("path", "text"),
    [("--a---b---", "ab"), ("aa--a", "aa"), ("aaa", "a"), ("-----", ""), ("a" + "-" * 50 + "a", "aa"), ("a -b", "a b")],
)
def test_sure_frames_are_read_as_they_are(path: str, text: str) -> None:
    for sure in (8.0, 30.0):
        (found,) = search(log_probs_of(path, sure), np.array([len(path)]), NoFusion(), 4)
        assert VOCABULARY.decode(found[0].token_ids) == text


def test_a_token_that_no_frame_tells_apart_is_chosen_by_the_language() -> None:
    log_probs = log_probs_of("a b")
    log_probs[0, 2, 2:] = np.log(0.5)  # a or b
    words = ("a", "ab")
    text = estimate([["a", "a"]], 2)
    for model, expected in ((None, "a a"), (LanguageModel(text), "a a")):
        fusion = WordFusion(words, VOCABULARY, model=model, weight=1.0, unknown_score=-np.inf)
        (found,) = search(log_probs, np.array([3]), fusion, 8)
        assert VOCABULARY.decode(found[0].token_ids) == expected


def test_a_lexicon_hears_nothing_but_its_words_even_where_speech_breaks_off() -> None:
    fusion = WordFusion(("a", "bb"), VOCABULARY, unknown_score=-np.inf)
    log_probs = np.concatenate([log_probs_of("a b--", sure=60.0), log_probs_of("bbbbb", sure=60.0)])
    for width in (1, 8):
        found = search(log_probs, np.array([5, 5]), fusion, width)
        assert [VOCABULARY.decode(each[0].token_ids) for each in found] == ["a ", ""]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_a_lexicon_hears_nothing_but_its_words(seed: int, width: int) -> None:
    fusion = WordFusion(("a", "bab"), VOCABULARY, unknown_score=-np.inf)
    log_probs = random_log_probs(seed, num_rows=3, num_frames=15)
    for found in search(log_probs, np.array([15, 9, 1]), fusion, width, num_best=width):
        for each in found:
            assert set(VOCABULARY.decode(each.token_ids).split()) <= {"a", "bab"}


def test_more_readings_than_there_are_cannot_be_found() -> None:
    (found,) = search(log_probs_of("a"), np.array([1]), NoFusion(), 8, num_best=8)
    assert len({tuple(each.token_ids) for each in found}) == len(found) == 4  # nothing, a space, a, b
