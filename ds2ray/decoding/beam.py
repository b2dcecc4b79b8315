"""The decoder of beam search: with nothing but the sound, with a lexicon, with a language model."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torchaudio.functional import forced_align

from ds2ray.decoding.decoder import Decoded, Reading
from ds2ray.decoding.fusion import Fusion, NoFusion
from ds2ray.decoding.greedy import collapse
from ds2ray.decoding.own_words import OwnWords, OwnWordsFusion, WordTree
from ds2ray.decoding.search import Found, search
from ds2ray.text import BLANK_ID, Vocabulary


@dataclass(frozen=True)
class Beam:
    """The decoder that follows the `width` best prefixes of each row, and hears by a fusion what is likely to be said.

    Attributes:
        words_weight: bonus of each token of a speaker's own words, in natural logarithms; 0: they are not heard.

    Shapes: B rows, T encoding frames of the longest, V size of the vocabulary.

    Attributes:
        num_best: readings of each row that are told; with 1 only the best one, as the row's tokens.
    """

    fusion: Fusion = field(default_factory=NoFusion)
    width: int = 32
    num_best: int = 1
    words_weight: float = 0.0

    def hearing(self, trees: Sequence[WordTree | None], vocabulary: Vocabulary) -> "Beam":
        """The decoder of a batch whose rows have these own words; itself where none has any, or they weigh nothing."""
        if not self.words_weight or not any(trees):
            return self
        return replace(self, fusion=OwnWordsFusion(self.fusion, OwnWords(trees, vocabulary), self.words_weight))

    @property
    def name(self) -> str:
        """What it is calibrated by: `beam` by the sound alone, else the fusion's `lexicon`, `lm` or `lm_lexicon`."""
        return str(getattr(self.fusion, "name", ""))

    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[Decoded]:
        """The best reading of each row, and the frames of its tokens; log_probs [B, T, V], lengths [B].

        `score` is that of the path of the sound on which these frames lie, so that it compares with greedy's.
        """
        of_sound = log_probs.detach().float().cpu()
        found = self._found(of_sound, lengths, self.num_best)
        best = [aligned(row[: int(n)], of[0].token_ids) for row, n, of in zip(of_sound, lengths, found, strict=True)]
        if self.num_best == 1:
            return best
        readings = [[Reading(each.token_ids, each.score) for each in of] for of in found]
        return [replace(row, readings=of) for row, of in zip(best, readings, strict=True)]

    def n_best(self, log_probs: Tensor, lengths: Tensor, num_best: int) -> list[list[Found]]:
        """The best readings of each row, best first, `num_best` at most and one at least, without their frames."""
        return self._found(log_probs.detach().float().cpu(), lengths, num_best)

    def _found(self, log_probs: Tensor, lengths: Tensor, num_best: int) -> list[list[Found]]:
        return search(log_probs.numpy(), lengths.cpu().numpy(), self.fusion, max(self.width, num_best), num_best)


def aligned(log_probs: Tensor, token_ids: list[int]) -> Decoded:
    """Tokens on the frames of the best path that spells them: log_probs [T, V] on the CPU.

    What is said in which segment of a recording is the matter of `ds2ray.decoding.alignment`.

    Raises:
        ValueError: there are fewer frames than the tokens need.
    """
    if not token_ids:
        return Decoded([], [], [], float(log_probs[:, BLANK_ID].mean()) if len(log_probs) else 0.0)
    targets = torch.tensor([token_ids], dtype=torch.int32)
    path, scores = forced_align(log_probs[None], targets, blank=BLANK_ID)
    return collapse(path[0].numpy(), scores[0].numpy())
