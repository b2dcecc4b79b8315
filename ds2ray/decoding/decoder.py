"""The seam of decoders: from log-probabilities to decoded rows.

Shapes: B rows, T encoding frames of the longest, V size of the vocabulary.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Decoded:
    """The token ids that a decoder finds in one row: repeats merged, blanks removed.

    Attributes:
        first_frames, last_frames: encoding frames in which each token stands, both inclusive.
        score: mean log-probability of the best path per frame, 0 at best.
    """

    token_ids: list[int]
    first_frames: list[int]
    last_frames: list[int]
    score: float


class Decoder(Protocol):
    """A decoder, which the Transcriber, the Validator and the judge of adapters are given.

    A vocabulary, a language model or a width of the search is the decoder's own, and given when it is made.
    """

    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[Decoded]:
        """Decode log-probabilities [B, T, V] of rows with `lengths` [B] frames: one result per row, in their order.

        Frames after a row's length are padding and never decoded; a row of no frames gives no tokens.
        """
