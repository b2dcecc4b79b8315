"""Utterances that run together: rows of a batch laid end to end.

Shapes: B rows, N values of the longest, L tokens of the longest, G groups of rows.
"""

import torch
from torch import Tensor
from torch.nn import functional


def end_to_end(values: Tensor, lengths: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of each group one after the other.

    Args:
        values: [B, N], zero after each row's length.
        lengths: int64 [B], at least as long as what is not zero.
        group: int64 [B], in order, from 0 on.

    Returns:
        one row for each group, zero after its end, and their lengths int64 [G].
    """
    totals = group_totals(lengths, group)
    starts = lengths.cumsum(0) - lengths - (totals.cumsum(0) - totals)[group]
    longest = int(totals.max())
    width = longest + values.shape[1]  # room for the zeros of a group's last row
    places = (group * width + starts)[:, None] + torch.arange(values.shape[1], device=values.device)
    flat = values.new_zeros(len(totals) * width).index_add(0, places.flatten(), values.flatten())
    return flat.view(len(totals), width)[:, :longest], totals


def tokens_end_to_end(tokens: Tensor, num_tokens: Tensor, group: Tensor, space: int) -> tuple[Tensor, Tensor]:
    """The tokens of each group as one transcript.

    Args:
        tokens: int64 [B, L], blank in padding; num_tokens: int64 [B].
        group: int64 [B], in order, from 0 on.
        space: the token between two transcripts; 0: the vocabulary has none.

    Returns:
        tokens int64 [G, L'], blank in padding, and their numbers int64 [G].
    """
    tokens = functional.pad(tokens, (0, 1))
    if space:
        is_followed = followed(group).long()
        tokens = tokens.scatter(1, num_tokens[:, None], space * is_followed[:, None])
        num_tokens = num_tokens + is_followed
    return end_to_end(tokens, num_tokens, group)


def followed(group: Tensor) -> Tensor:
    """Whether another row of its group comes after a row: bool [B]."""
    return torch.cat([group[1:] == group[:-1], group.new_zeros(1).bool()])


def group_totals(lengths: Tensor, group: Tensor) -> Tensor:
    """The lengths of the groups' rows together: int64 [G]."""
    totals = torch.zeros(int(group[-1]) + 1, dtype=torch.int64, device=lengths.device)
    return totals.index_add(0, group, lengths)
