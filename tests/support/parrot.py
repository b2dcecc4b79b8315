"""A decoder that is not greedy: it says the same in every row, whatever it hears."""

from dataclasses import dataclass

from torch import Tensor

from ds2ray.decoding.decoder import Decoded


@dataclass(frozen=True)
class Parrot:
    token_ids: tuple[int, ...]

    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[Decoded]:
        frames = list(range(len(self.token_ids)))
        return [Decoded(list(self.token_ids), frames, frames, -1.5) for _ in lengths]
