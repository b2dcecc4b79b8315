"""Beam search as a decoder: tokens, their frames and a score that compares with greedy's."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2ray.config import TextConfig
from ds2ray.decoding.beam import Beam
from ds2ray.decoding.decoder import name_of
from ds2ray.decoding.fusion import WordFusion
from ds2ray.decoding.greedy import Greedy
from ds2ray.decoding.language.language_model import LanguageModel
from ds2ray.decoding.language.ngrams import estimate
from ds2ray.text import Vocabulary


def sure_log_probs(paths: list[list[int]], num_frames: int) -> torch.Tensor:
    """[B, T, 4] in which each row's path is all but sure, and padding is token 3."""
    logits = torch.full((len(paths), num_frames, 4), -5.0)
    logits[:, :, 3] = 5.0
    for row, path in enumerate(paths):
        for frame, token in enumerate(path):
            logits[row, frame] = -5.0
            logits[row, frame, token] = 5.0
    return logits.log_softmax(2)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), max_size=10), min_size=1, max_size=4))
def test_what_the_sound_leaves_no_doubt_about_is_what_greedy_hears(paths: list[list[int]]) -> None:
    log_probs, lengths = sure_log_probs(paths, 10), torch.tensor([len(path) for path in paths])
    heard, expected = Beam().decode(log_probs, lengths), Greedy().decode(log_probs, lengths)
    for row, greedy in zip(heard, expected, strict=True):
        assert (row.token_ids, row.first_frames, row.last_frames) == (
            greedy.token_ids,
            greedy.first_frames,
            greedy.last_frames,
        )
        assert row.score == pytest.approx(greedy.score, abs=1e-6)
        assert row.token_scores == pytest.approx(greedy.token_scores, abs=1e-6)
        assert row.readings == []


def test_paths_that_spell_the_same_count_together() -> None:
    """Graves et al., 2006, figure 2: two frames, in each 0.6 for the blank and 0.4 for a token; nothing has 0.36, the
    token 0.64."""
    log_probs = torch.tensor([[[0.6, 0.4], [0.6, 0.4]]]).log()
    assert Greedy().decode(log_probs, torch.tensor([2]))[0].token_ids == []
    (row,) = Beam().decode(log_probs, torch.tensor([2]))
    assert row.token_ids == [1]
    ((best, second),) = Beam().n_best(log_probs, torch.tensor([2]), 2)
    assert (best.token_ids, second.token_ids) == ([1], [])
    assert best.sound_score == pytest.approx(torch.tensor(0.64).log().item())
    assert second.sound_score == pytest.approx(torch.tensor(0.36).log().item())


def test_rows_of_no_frames_and_a_batch_of_no_rows() -> None:
    assert Beam().decode(torch.zeros(0, 3, 4), torch.zeros(0, dtype=torch.long)) == []
    (row,) = Beam().decode(torch.zeros(1, 0, 4), torch.tensor([0]))
    assert (row.token_ids, row.score) == ([], 0.0)


def test_half_precision_is_read() -> None:
    log_probs = sure_log_probs([[1, 1, 0, 2]], 4)
    for dtype in (torch.float16, torch.bfloat16):
        assert Beam().decode(log_probs.to(dtype), torch.tensor([4]))[0].token_ids == [1, 2]


def test_a_row_of_no_numbers_leaves_the_others_as_they_are() -> None:
    log_probs = sure_log_probs([[1, 0, 2], [1, 0, 2], [2]], 3)
    log_probs[0] = torch.nan
    rows = Beam().decode(log_probs, torch.tensor([3, 3, 1]))
    assert [row.token_ids for row in rows[1:]] == [[1, 2], [2]]


def test_the_best_readings_are_told_with_their_scores() -> None:
    """Of figure 2 of Graves et al.: the token has 0.64, nothing 0.36."""
    log_probs = torch.tensor([[[0.6, 0.4], [0.6, 0.4]]]).log()
    (row,) = Beam(num_best=3).decode(log_probs, torch.tensor([2]))
    assert [(reading.token_ids, math.exp(reading.score)) for reading in row.readings] == [
        ([1], pytest.approx(0.64)),
        ([], pytest.approx(0.36)),
    ]
    assert row.token_ids == [1]


@pytest.mark.parametrize(
    ("has_model", "unknown_score", "name"),
    [(False, 0.0, "beam"), (False, -math.inf, "lexicon"), (True, 0.0, "lm"), (True, -math.inf, "lm_lexicon")],
)
def test_decoders_that_are_sure_of_other_things_have_other_names(
    has_model: bool, unknown_score: float, name: str
) -> None:
    model = LanguageModel(estimate([["a"], ["b", "a"]], 2, [])) if has_model else None
    vocabulary = Vocabulary.from_transcripts(["a b"], TextConfig())
    fusion = WordFusion(["a", "b"], vocabulary, model=model, unknown_score=unknown_score)
    assert name_of(Beam(fusion)) == name
    assert (name_of(Beam()), name_of(Greedy())) == ("beam", "greedy")
