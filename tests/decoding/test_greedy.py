"""Greedy decoding collapses repeats, drops blanks and leaves padding out."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ds2ray.decoding.greedy import Greedy


def log_probs_of(paths: list[list[int]], num_frames: int, num_classes: int = 4) -> torch.Tensor:
    logits = torch.full((len(paths), num_frames, num_classes), -5.0)
    logits[:, :, 3] = 5.0  # padding would decode as token 3
    for row, path in enumerate(paths):
        for frame, token in enumerate(path):
            logits[row, frame] = -5.0
            logits[row, frame, token] = 5.0
    return logits.log_softmax(2)


def test_repeats_are_merged_and_blanks_separate_them() -> None:
    decoded = Greedy().decode(log_probs_of([[0, 1, 1, 0, 1, 2, 2]], 7), torch.tensor([7]))[0]
    assert decoded.token_ids == [1, 1, 2]
    assert decoded.first_frames == [1, 4, 5]
    assert decoded.last_frames == [2, 4, 6]
    assert -0.01 < decoded.score < 0


def test_the_score_of_a_token_is_the_mean_of_its_frames() -> None:
    probabilities = torch.tensor([[[0.1, 0.9], [0.4, 0.6], [0.8, 0.2], [0.3, 0.7]]])
    (row,) = Greedy().decode(probabilities.log(), torch.tensor([4]))
    assert row.token_ids == [1, 1]
    assert row.token_scores == pytest.approx([(math.log(0.9) + math.log(0.6)) / 2, math.log(0.7)])


def test_padding_is_not_decoded() -> None:
    rows = Greedy().decode(log_probs_of([[1, 0], []], 6), torch.tensor([2, 0]))
    assert [row.token_ids for row in rows] == [[1], []]
    assert rows[1].score == 0.0


@given(st.lists(st.integers(0, 2), max_size=12))
def test_it_is_the_definition_of_ctc_collapsing(path: list[int]) -> None:
    merged = [token for i, token in enumerate(path) if i == 0 or path[i - 1] != token]
    decoded = Greedy().decode(log_probs_of([path], 12), torch.tensor([len(path)]))[0]
    assert decoded.token_ids == [token for token in merged if token != 0]
