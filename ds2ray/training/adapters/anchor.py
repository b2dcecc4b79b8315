"""The anchor: ordinary speech on which every adapter is held to its base, and judged for what it forgets.

An adapter learns one voice, and other people's speech through it gets many more errors than by the base alone. So in
some of its steps an adapter hears pieces of the anchor, too, and its distribution is pulled towards the base's (Yu et
al., 2013, on the speech of others). The anchor is encoded once for a base and serves all users; a part of it gives no
gradients, and is what the errors are counted on.

Shapes: P pieces, R pieces of a step, T frames of a piece, N frames of all pieces of a step, D width of the encodings,
V size of the vocabulary.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ds2ray.config import AdaptConfig
from ds2ray.decoding.greedy import Greedy
from ds2ray.errors import ConfigError
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.weights import Base
from ds2ray.store.keys import private
from ds2ray.tables.manifest import Utterance
from ds2ray.tables.problems import named
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.judging.held_out import Judge, Judgement, head_log_probs
from ds2ray.training.adapters.judging.results import AnchorErrors, Evaluation
from ds2ray.training.adapters.judging.split import Part
from ds2ray.training.adapters.speech import UserSpeech, tokens_of
from ds2ray.training.adapters.stack.bank import AdapterBank
from ds2ray.training.adapters.stack.learners import Learner
from ds2ray.training.adapters.stack.stored import Rows, SpeechTable
from ds2ray.training.optim import kl_divergences

log = logging.getLogger(__name__)

JUDGED = 3
"""Every so manieth utterance gives no gradients, and is judged."""

PIECE_S = 1.0
"""Seconds of a piece: short, as a step takes as long as its frames."""

PIECES = 1
"""Pieces of a step."""

EVERY = 2
"""One step of so many has pieces."""


@dataclass(frozen=True)
class Anchor:
    """The encoded anchor on the training device.

    Attributes:
        pieces: float32 [P, T, D].
        of_base: log-probabilities of the base, float32 [P, T, V].
        speech: all utterances, in one part.
        table: the same on the device.
        before: the errors of the base alone on what is judged.
    """

    pieces: Tensor
    of_base: Tensor
    speech: UserSpeech
    table: SpeechTable
    before: Evaluation

    def rows_of(self, numbers: Sequence[int]) -> tuple[Rows, Tensor]:
        """Pieces by their numbers, counted over and over, and the base's log-probabilities [R, T, V] of them."""
        chosen = torch.tensor([number % len(self.pieces) for number in numbers], device=self.pieces.device)
        return rows_of_pieces(self.pieces[chosen]), self.of_base[chosen]

    def pull(self, model: AcousticModel, bank: AdapterBank, learners: Sequence[Learner], after_layer: int) -> Tensor:
        """The pull of adapters towards the base, those that have pieces in this step: a loss, float32 [].

        Each hears pieces of its own in an order of its own; the mean divergence counts by `anchor_weight` of its
        settings.
        """
        pulled = [one for one in learners if one.step % EVERY == 0 and one.config.anchor_weight > 0]
        if not pulled:
            return torch.zeros((), device=bank.device)
        starts = [one.seed + one.step // EVERY * PIECES for one in pulled]
        rows, of_base = self.rows_of([start + piece for start in starts for piece in range(PIECES)])
        adapted = bank(rows.frames, [one.place for one in pulled], [PIECES * rows.max_length] * len(pulled), ())
        log_probs = head_log_probs(model, rows, adapted, after_layer)
        shares = [one.config.anchor_weight / PIECES for one in pulled for _ in range(PIECES)]
        weights = torch.tensor(shares, device=bank.device)
        return (kl_divergences(log_probs, of_base, rows.lengths) * weights).sum()

    def errors(self, judge: Judge, state: Mapping[str, Tensor], like: AdapterBank) -> AnchorErrors:
        """Errors of an adapter with these weights on the part that gives no gradients, beside the base's.

        Args:
            judge: that of a stack, whose model and settings count.
            like: a bank of adapters of that kind and shape.
        """
        own = replace(judge, table=self.table, speeches=[self.speech], decoder=Greedy())
        bank = AdapterBank.of_states([state], like)
        after = own.evaluate([Judgement(0, self.speech.held_out, 0)], bank, decode=True)[0]
        return AnchorErrors(self.before.score, after.score)


def rows_of_pieces(pieces: Tensor) -> Rows:
    """Pieces [R, T, D] as the rows of a step, without transcripts."""
    count, length, width = pieces.shape
    places = torch.arange(count * length, device=pieces.device)
    return Rows(
        frames=pieces.reshape(-1, width).float(),
        lengths=torch.full((count,), length, device=pieces.device),
        row_of_frame=places // length,
        place_of_frame=places,
        max_length=length,
        tokens=torch.zeros(count, 0, dtype=torch.int64, device=pieces.device),
        num_tokens=torch.zeros(count, dtype=torch.int64, device=pieces.device),
    )


def encode_anchor(base: Base, utterances: Sequence[Utterance], encoder: Encoder, config: AdaptConfig) -> Anchor:
    """The anchor of a base, encoded, with what the base makes of it.

    Utterances that cannot be used are left out, as those of users are.

    Raises:
        ConfigError: too few are left, or they are too short.
    """
    encoded = encoder.encode(utterances)
    for index, problem in encoded.problems.items():
        which = named(utterances[index].utterance_id, utterances[index].line)
        log.warning("the anchor, %s: %s", which, private(problem))
    kept = [(u, rows) for u, rows in zip(utterances, encoded.encodings, strict=True) if rows is not None]
    if len(kept) < JUDGED:
        causes = "; ".join(sorted(set(encoded.problems.values()))) or "there are no more"
        raise ConfigError(
            f"adapt.anchor_manifest: {len(kept)} usable utterances, at least {JUDGED} are needed ({causes})"
        )
    places = range(len(kept))
    part = Part([row for row in places if row % JUDGED], [row for row in places if row % JUDGED == 0])
    transcripts = [utterance.transcript for utterance, _ in kept]
    frames = [rows for _, rows in kept]
    tokens = tokens_of(base.vocabulary, transcripts)
    speech = UserSpeech("the anchor", 0, frames, tokens, transcripts, [part])
    device = torch.device(encoder.device)
    length = max(1, round(PIECE_S / base.model.shape.frame_s))
    pieces = [piece for row in part.train for piece in frames[row].to(device).split(length) if len(piece) == length]
    if not pieces:
        raise ConfigError(f"adapt.anchor_manifest: no utterance is as long as {PIECE_S:g} s")
    stacked = torch.stack(pieces)
    base.model.eval()
    with torch.no_grad():
        rows = rows_of_pieces(stacked)
        of_base = head_log_probs(base.model, rows, rows.frames, encoder.after_layer)
    table = SpeechTable([speech], device)
    judge = Judge(base.model, table, [speech], base.vocabulary, config.precision, encoder.after_layer)
    before = judge.evaluate([Judgement(0, part.held_out)], bank=None, decode=True)[0]
    return Anchor(stacked, of_base, speech, table, before)
