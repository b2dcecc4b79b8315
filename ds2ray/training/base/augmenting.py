"""Training batches as recordings that people make, with sentences that run together and rows in which nobody speaks.

Shapes: B utterances of a batch, S samples of the longest, L tokens of the longest; B' rows of what it becomes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ds2ray.batching.batches import Batch
from ds2ray.config import AugmentConfig
from ds2ray.padding import frame_mask
from ds2ray.sound.recordings import as_recorded, nobody_speaks
from ds2ray.training.joining import end_to_end, followed, tokens_end_to_end

MOST_JOINED = 4
LONGEST_JOINED_S = 30.0
LONGEST_PAUSE_S = 0.5
"""Between joined utterances, of which half have no pause at all: recognition cuts recordings at long ones."""
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
        pauses = (LONGEST_PAUSE_S * self.sample_rate_hz * (2 * torch.rand(count) - 1).clamp(min=0)).long()
        fitting = int(LONGEST_JOINED_S * self.sample_rate_hz) // (width + int(pauses.max()))
        size = min(int(torch.randint(2, MOST_JOINED + 1, ())), fitting)
        if size < 2 or count < 2:
            return rows
        order = torch.randperm(count).tolist()
        chosen = torch.tensor(sorted(order, key=lambda row: user_ids[row]), device=device)
        group = torch.arange(count, device=device) // size
        waveforms, num_samples = end_to_end(
            rows.waveforms[chosen], rows.num_samples[chosen] + followed(group) * pauses.to(device), group
        )
        tokens, num_tokens = tokens_end_to_end(rows.tokens[chosen], rows.num_tokens[chosen], group, self.space)
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
