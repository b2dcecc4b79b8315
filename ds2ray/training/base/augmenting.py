"""Training batches as recordings that people make, with sentences that run together and rows in which nobody speaks.

Shapes: B utterances of a batch, S samples of the longest, L tokens of the longest; B' rows of what it becomes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ds2ray.batching.batches import Batch
from ds2ray.config import AugmentConfig
from ds2ray.padding import frame_mask
from ds2ray.sound.recordings import as_recorded, nobody_speaks

MOST_JOINED = 4
LONGEST_JOINED_S = 30.0
PAUSE_S = (0.05, 0.6)
"""Shortest and longest pause between joined utterances."""
SHORTEST_SILENCE = 0.2
"""Of a row in which nobody speaks, as a share of the batch's longest."""


@dataclass(frozen=True)
class Rows:
    """A batch as the model hears it.

    Attributes:
        waveforms: float32 [B', S], zero after each row's end; num_samples: int64 [B'].
        tokens: int64 [B', L], blank in padding; num_tokens: int64 [B'].
        utterances: float32 [B'], how many each row holds: 0 where nobody speaks.
    """

    waveforms: Tensor
    num_samples: Tensor
    tokens: Tensor
    num_tokens: Tensor
    utterances: Tensor


@dataclass(frozen=True)
class Augmenting:
    """How batches are changed; all draws are those of torch's global generators.

    Args:
        silence_share: rows without speech, as a share of the batch's.
        space: the token between two utterances that run together; 0: the vocabulary has none.
    """

    config: AugmentConfig
    sample_rate_hz: int
    silence_share: float = 0.0
    space: int = 0

    def __call__(self, batch: Batch) -> Rows:
        """The rows of a batch, on its device."""
        rows = Rows(
            batch.waveforms,
            batch.num_samples,
            batch.tokens,
            batch.num_tokens,
            torch.ones(len(batch), device=batch.waveforms.device),
        )
        if self.config.join_share > 0 and torch.rand(()) < self.config.join_share:
            rows = self._joined(rows, batch.user_ids)
        waveforms, num_samples = as_recorded(rows.waveforms, rows.num_samples, self.config, self.sample_rate_hz)
        rows = Rows(waveforms, num_samples, rows.tokens, rows.num_tokens, rows.utterances)
        num_silent = int((torch.rand(len(batch)) < self.silence_share).sum())
        return self._with_silence(rows, num_silent) if num_silent else rows

    def _joined(self, rows: Rows, user_ids: Sequence[str]) -> Rows:
        """Groups of a few rows as one row each, of one speaker as far as that goes."""
        count, width = rows.waveforms.shape
        device = rows.waveforms.device
        shortest, longest = (round(seconds * self.sample_rate_hz) for seconds in PAUSE_S)
        pauses = torch.randint(shortest, longest, (count,))
        fitting = int(LONGEST_JOINED_S * self.sample_rate_hz) // (width + int(pauses.max()))
        size = min(int(torch.randint(2, MOST_JOINED + 1, ())), fitting)
        if size < 2 or count < 2:
            return rows
        order = torch.randperm(count).tolist()
        chosen = torch.tensor(sorted(order, key=lambda row: user_ids[row]), device=device)
        group = torch.arange(count, device=device) // size
        followed = torch.cat([group[1:] == group[:-1], group.new_zeros(1).bool()]).long()
        waveforms, num_samples = _end_to_end(
            rows.waveforms[chosen], rows.num_samples[chosen] + followed * pauses.to(device), group
        )
        num_tokens = rows.num_tokens[chosen]
        tokens = functional.pad(rows.tokens[chosen], (0, 1))
        if self.space:
            tokens = tokens.scatter(1, num_tokens[:, None], self.space * followed[:, None])
            num_tokens = num_tokens + followed
        tokens, num_tokens = _end_to_end(tokens, num_tokens, group)
        return Rows(waveforms, num_samples, tokens, num_tokens, torch.bincount(group).float())

    def _with_silence(self, rows: Rows, count: int) -> Rows:
        """Further rows in which nobody speaks, of other lengths up to that of the longest."""
        width, device = rows.waveforms.shape[1], rows.waveforms.device
        num_samples = (width * (SHORTEST_SILENCE + (1 - SHORTEST_SILENCE) * torch.rand(count))).long().to(device)
        silence = nobody_speaks(count, width, self.sample_rate_hz, device) * frame_mask(num_samples, width)
        nothing = rows.num_tokens.new_zeros(count)
        return Rows(
            torch.cat([rows.waveforms, silence]),
            torch.cat([rows.num_samples, num_samples]),
            torch.cat([rows.tokens, rows.tokens.new_zeros(count, rows.tokens.shape[1])]),
            torch.cat([rows.num_tokens, nothing]),
            torch.cat([rows.utterances, nothing.float()]),
        )


def _end_to_end(values: Tensor, lengths: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of each group one after the other.

    Args:
        values: [B, N], zero after each row's length.
        lengths: int64 [B], at least as long as what is not zero.
        group: int64 [B], in order, from 0 on.

    Returns:
        one row for each group, zero after its end, and their lengths int64.
    """
    totals = torch.zeros(int(group[-1]) + 1, dtype=torch.int64, device=values.device).index_add(0, group, lengths)
    starts = lengths.cumsum(0) - lengths - (totals.cumsum(0) - totals)[group]
    longest = int(totals.max())
    width = longest + values.shape[1]  # room for the zeros of a group's last row
    places = (group * width + starts)[:, None] + torch.arange(values.shape[1], device=values.device)
    flat = values.new_zeros(len(totals) * width).index_add(0, places.flatten(), values.flatten())
    return flat.view(len(totals), width)[:, :longest], totals
