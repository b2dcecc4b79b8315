"""Judging a stack: the loss and errors of many adapters on their held-out speech, in a few passes.

Shapes: R rows (utterances), T frames of the longest, N frames of all rows, D width of the encodings, V size of the
vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ds2ray.config import AdaptConfig, Precision
from ds2ray.decoding.decoder import Decoder
from ds2ray.decoding.greedy import Greedy
from ds2ray.decoding.scoring import score_decoded
from ds2ray.metrics import Score
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.text import Vocabulary
from ds2ray.training.adapters.judging.results import Evaluation, Judged
from ds2ray.training.adapters.speech import UserSpeech
from ds2ray.training.adapters.stack.bank import AdapterBank
from ds2ray.training.adapters.stack.stored import Rows, SpeechTable
from ds2ray.training.optim import Criterion, ctc_losses
from ds2ray.training.precision import products_in

MAX_EVALUATED_VALUES = 2**27
"""Values (frames × width) that are evaluated at once: half a GiB in float32."""

ROW_MULTIPLE = 4
"""Rows pass through the head on a CPU by so many: where some are missing, rows of silence are added.

So a row is rounded alike in any company. MKL takes other kernels for products of fewer than four rows, and from four on
rounds each row alike, however many there are (torch 2.11 on an AMD EPYC, 4 to 1,500 rows of widths 16 to 3,072); and
torch computes functions such as tanh otherwise for what is left of a multiple of 32 values, which four rows of a width
that is a multiple of 8 never leave.
"""


@dataclass(frozen=True)
class Judgement:
    """Utterances of a user to be evaluated, by the adapter in a place of the bank or by the base alone."""

    user: int
    rows: Sequence[int]
    place: int = -1


def head_log_probs(model: AcousticModel, rows: Rows, frames: Tensor, after_layer: int) -> Tensor:
    """Frames [N, D] through the frozen head: [R, T, V]."""
    if model.is_last(after_layer):
        # the layers that follow work frame by frame, so padding need not pass through them
        return rows.padded(model.head(frames.unsqueeze(0), rows.lengths, after_layer).squeeze(0))
    num_rows = len(rows.lengths)
    missing = -num_rows % ROW_MULTIPLE if frames.device.type == "cpu" else 0
    if not missing:
        return model.head(rows.padded(frames), rows.lengths, after_layer)
    padded = torch.nn.functional.pad(rows.padded(frames), (0, 0, 0, 0, 0, missing))
    return model.head(padded, torch.nn.functional.pad(rows.lengths, (0, missing), value=1), after_layer)[:num_rows]


@dataclass(frozen=True)
class Judge:
    """The model, speech and settings that all judgements of a stack share."""

    model: AcousticModel
    table: SpeechTable
    speeches: Sequence[UserSpeech]
    vocabulary: Vocabulary
    precision: Precision
    after_layer: int
    decoder: Decoder = Greedy()
    criterion: Criterion = ctc_losses

    @torch.no_grad()
    def evaluate(
        self, judgements: Sequence[Judgement], bank: AdapterBank | None, decode: bool
    ) -> dict[int, Evaluation]:
        """Mean loss, and with `decode` the errors, of each user over its judgements; of the base without a bank."""
        losses: dict[int, list[float]] = {}
        judged: dict[int, list[Judged]] = {}
        for some in self._in_pieces(judgements):
            rows = self.table.rows([one.user for one in some], [one.rows for one in some])
            frames = rows.frames
            if bank is not None:
                counts = [self.table.num_frames(one.user, one.rows) for one in some]
                with products_in(self.precision, self.table.device):
                    frames = bank(frames, [one.place for one in some], counts, ())
            log_probs = head_log_probs(self.model, rows, frames, self.after_layer)
            all_losses = iter(self.criterion(log_probs, rows.lengths, rows.tokens, rows.num_tokens).tolist())
            decoded = iter(self.decoder.decode(log_probs, rows.lengths)) if decode else None
            for one in some:
                own = [next(all_losses) for _ in one.rows]
                losses.setdefault(one.user, []).extend(own)
                if decoded is not None:
                    transcripts = [self.speeches[one.user].transcripts[row] for row in one.rows]
                    scores = [score_decoded([next(decoded)], [text], self.vocabulary) for text in transcripts]
                    judged.setdefault(one.user, []).extend(map(Judged, one.rows, own, scores))
        return {user: _evaluation(own, judged.get(user, ())) for user, own in losses.items()}

    def _in_pieces(self, judgements: Sequence[Judgement]) -> Iterator[list[Judgement]]:
        """Groups of judgements, each as large as memory allows."""
        width = max(self.model.encoding_dim(self.after_layer), self.model.num_classes)
        piece: list[Judgement] = []
        num_rows = longest = 0
        for one in judgements:
            own_longest = max(self.table.length(one.user, row) for row in one.rows)
            num_rows, longest = num_rows + len(one.rows), max(longest, own_longest)
            if piece and num_rows * longest * width > MAX_EVALUATED_VALUES:
                yield piece
                piece, num_rows, longest = [], len(one.rows), own_longest
            piece.append(one)
        if piece:
            yield piece


def _evaluation(losses: Sequence[float], judged: Sequence[Judged]) -> Evaluation:
    return Evaluation(sum(losses) / len(losses), sum((one.score for one in judged), Score()), tuple(judged))


def evaluate_adapter(
    model: AcousticModel,
    adapter: Adapter,
    speech: UserSpeech,
    vocabulary: Vocabulary,
    config: AdaptConfig,
    after_layer: int,
    decoder: Decoder = Greedy(),
) -> Evaluation:
    """Mean loss and errors of one adapter on all held-out utterances of a user."""
    bank = AdapterBank([adapter])
    table = SpeechTable([speech], bank.device)
    judge = Judge(model, table, [speech], vocabulary, config.precision, after_layer, decoder)
    return judge.evaluate([Judgement(0, speech.held_out, 0)], bank, decode=True)[0]
