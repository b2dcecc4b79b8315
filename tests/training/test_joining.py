"""Rows laid end to end: values and the space between transcripts."""

import torch

from ds2ray.training.joining import end_to_end, followed, tokens_end_to_end


def test_rows_follow_each_other_without_their_padding() -> None:
    values = torch.tensor([[1.0, 2.0, 0.0], [3.0, 0.0, 0.0], [4.0, 5.0, 6.0]])
    joined, lengths = end_to_end(values, torch.tensor([2, 1, 3]), torch.tensor([0, 0, 1]))
    assert joined.tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert lengths.tolist() == [3, 3]


def test_a_space_stands_between_transcripts_and_not_after_the_last() -> None:
    tokens, group = torch.tensor([[1, 2], [3, 0], [4, 0]]), torch.tensor([0, 0, 1])
    assert followed(group).tolist() == [True, False, False]
    joined, counts = tokens_end_to_end(tokens, torch.tensor([2, 1, 1]), group, space=9)
    assert joined.tolist() == [[1, 2, 9, 3], [4, 0, 0, 0]]
    assert counts.tolist() == [4, 1]
    joined, counts = tokens_end_to_end(tokens, torch.tensor([2, 1, 1]), group, space=0)
    assert joined.tolist() == [[1, 2, 3], [4, 0, 0]]
    assert counts.tolist() == [3, 1]
