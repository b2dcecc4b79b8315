"""The seam of decoders: from log-probabilities to decoded rows.

Shapes: B rows, T encoding frames of the longest, V size of the vocabulary.
"""

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Reading:
    """A way to read a row, without frames.

    Attributes:
        score: log-probability of the sound, plus what a decoder adds that knows of the language.
    """

    token_ids: list[int]
    score: float


@dataclass(frozen=True)
class Decoded:
    """The token ids that a decoder finds in one row: repeats merged, blanks removed.

    Attributes:
        first_frames, last_frames: encoding frames in which each token stands, both inclusive.
        score: mean log-probability of the best path per frame, 0 at best.
        token_scores: mean log-probability of each token over its frames; empty from a decoder that tells none.
        readings: the best ways to read the row, best first, where a decoder is asked for several.
    """

    token_ids: list[int]
    first_frames: list[int]
    last_frames: list[int]
    score: float
    token_scores: list[float] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)


class Decoder(Protocol):
    """A decoder, which the Transcriber, the Validator and the judge of adapters are given.

    A vocabulary, a language model or a width of the search is the decoder's own, and given when it is made. One that
    has a `name` is calibrated by it: decoders of one name are equally sure of words of the same score.
    """

    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[Decoded]:
        """Decode log-probabilities [B, T, V] of rows with `lengths` [B] frames: one result per row, in their order.

        Frames after a row's length are padding and never decoded; a row of no frames gives no tokens.
        """


def name_of(decoder: Decoder) -> str:
    """The name by which a decoder is calibrated; empty for one that has none."""
    return str(getattr(decoder, "name", ""))
