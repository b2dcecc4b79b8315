"""Training a stack of adapters: every step takes one batch of each, and all rows share the frozen head and CTC.

Each adapter keeps an order, schedule, moments, clip, early stop and best weights of its own, so that it is the one
that `fit_adapter` gives alone, within floating-point tolerance, whoever else is in the stack. A user has one adapter
per part of its speech: the first is the user's own, further ones judge it by cross-validation.

Shapes: R rows (utterances) of a step, T frames of the longest, N frames of all rows, V size of the vocabulary.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ds2ray.config import AdaptConfig, Schedule
from ds2ray.data.batches import epoch_batches
from ds2ray.model.adapter import MLPAdapter, dropout_scale
from ds2ray.model.decode import greedy
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.text import Vocabulary
from ds2ray.training.bank import AdapterBank, BankAdamW
from ds2ray.training.evaluation import Score, score_decoded
from ds2ray.training.fit import WARMUP_FRACTION, AdapterFit, Evaluation
from ds2ray.training.optim import ctc_losses, kl_divergences, learning_rate_at
from ds2ray.training.precision import products_in
from ds2ray.training.seeds import derive_seed
from ds2ray.training.split import Part, part_seed
from ds2ray.training.stored import Rows, SpeechTable, StoredSpeech

MAX_EVALUATED_VALUES = 2**27
"""Values (frames × width) that are evaluated at once: half a GiB in float32."""


@dataclass
class _Learner:
    """One adapter's progress, apart from the weights. At the end of an epoch it waits for the user's others."""

    user: int
    part: Part
    seed: int
    config: AdaptConfig
    lengths: Sequence[int]
    best: dict[str, Tensor]
    epoch: int = 0
    position: int = 0
    batches: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.steps_per_epoch = math.ceil(len(self.part.train) / self.config.batch_size)
        self.begin(0)

    def begin(self, epoch: int) -> None:
        self.epoch, self.position = epoch, 0
        self.batches = epoch_batches(self.lengths, self.config.batch_size, 1, self.seed, epoch)

    @property
    def waits(self) -> bool:
        return self.position == self.steps_per_epoch

    @property
    def step(self) -> int:
        return self.epoch * self.steps_per_epoch + self.position

    def learning_rate(self) -> float:
        total = self.steps_per_epoch * self.config.num_epochs
        return learning_rate_at(self.step, total, self.config.learning_rate, Schedule.one_cycle, WARMUP_FRACTION)

    def rows(self) -> list[int]:
        """The utterances of the step."""
        return [self.part.train[index] for index in self.batches[self.position]]


@dataclass
class _Member:
    """A user's progress; `learners` belong to the parts of the speech."""

    speech: StoredSpeech
    before: Evaluation
    learners: list[_Learner]
    best_loss: float
    best_epoch: int = -1
    epoch: int = 0
    bad_steps: int = 0
    bad_in_epoch: int = 0


@dataclass(frozen=True)
class _Judgement:
    """Utterances of a user to be evaluated, by the adapter in a place of the bank or by the base alone."""

    user: int
    rows: Sequence[int]
    place: int = -1


class StackedTraining:
    """Trains adapters of one shape together."""

    def __init__(
        self,
        model: DeepSpeech2,
        adapters: Sequence[MLPAdapter],
        speeches: Sequence[StoredSpeech],
        vocabulary: Vocabulary,
        config: AdaptConfig,
        after_layer: int,
    ) -> None:
        """
        Args:
            adapters: each user's fresh one, on the training device.
        """
        model.freeze_base_model()
        model.train()
        self.model, self.vocabulary, self.config, self.after_layer = model, vocabulary, config, after_layer
        self.bank = AdapterBank([a for a, s in zip(adapters, speeches, strict=True) for _ in s.parts])
        self.optimizer = BankAdamW(self.bank, config.weight_decay, config.max_grad_norm)
        self.device = self.optimizer.steps.device
        self.table = SpeechTable(speeches, self.device)
        self.speeches = speeches
        self.widths = self.bank.hidden_widths()
        self.dropout = adapters[0].dropout.p
        befores = self._evaluate(
            [_Judgement(u, part.held_out) for u, s in enumerate(speeches) for part in s.parts if part.held_out],
            bank=None,
            decode=True,
        )
        self.places: list[_Learner] = []  # the learner in each place of the bank
        self.members: dict[int, _Member] = {}
        for user, speech in enumerate(speeches):
            learners = [self._learner(user, number) for number in range(len(speech.parts))]
            self.members[user] = _Member(speech, befores[user], learners, befores[user].loss)

    def _learner(self, user: int, number: int) -> _Learner:
        speech = self.speeches[user]
        part = speech.parts[number]
        lengths = [self.table.length(user, row) for row in part.train]
        fresh = self.bank.state_of(len(self.places))
        learner = _Learner(user, part, part_seed(speech.seed, number), self.config, lengths, fresh)
        self.places.append(learner)
        return learner

    def run(self) -> Iterator[tuple[int, AdapterFit | str]]:
        """Train to the end; yields each user's place in `speeches` with the result, or why there is none, when done."""
        while self.members:
            yield from self._tick()
            busy = sum(len(member.learners) for member in self.members.values())
            if busy <= len(self.places) // 2:
                self._compact()

    def _tick(self) -> Iterator[tuple[int, AdapterFit | str]]:
        """One optimizer step of every adapter that is not waiting."""
        places = [p for p, learner in enumerate(self.places) if learner.user in self.members and not learner.waits]
        learners = [self.places[place] for place in places]
        rows_of = [learner.rows() for learner in learners]
        rows = self.table.rows([learner.user for learner in learners], rows_of)
        log_probs = self._log_probs(
            rows, self._adapted(rows, learners, places, rows_of, self._scales(learners, rows_of))
        )
        losses = ctc_losses(log_probs, rows.lengths, rows.tokens, rows.num_tokens)
        if self.config.kl_weight:
            with torch.no_grad():
                of_base = self._log_probs(rows, rows.frames)
            losses = losses + self.config.kl_weight * kl_divergences(log_probs, of_base, rows.lengths)
        shares = torch.tensor([1 / len(batch) for batch in rows_of for _ in batch], device=self.device)
        for parameter in self.bank.parameters():
            parameter.grad = None
        (losses * shares).sum().backward()
        rates = torch.zeros(len(self.bank), device=self.device)
        rates[places] = torch.tensor([learner.learning_rate() for learner in learners], device=self.device)
        active = torch.zeros(len(self.bank), dtype=torch.bool, device=self.device)
        active[places] = True
        stepped = self.optimizer.step(rates, active)[places].tolist()
        for learner, ok in zip(learners, stepped, strict=True):
            learner.position += 1
            member = self.members[learner.user]
            if learner is member.learners[0] and not ok:
                member.bad_steps += 1
                member.bad_in_epoch += 1
        ended = {learner.user: self.members[learner.user] for learner in learners if learner.waits}
        ended = {user: member for user, member in ended.items() if all(one.waits for one in member.learners)}
        if ended:
            yield from self._end_epoch(ended)

    def _end_epoch(self, ended: dict[int, _Member]) -> Iterator[tuple[int, AdapterFit | str]]:
        place_of = {id(learner): place for place, learner in enumerate(self.places)}
        judges = [one for member in ended.values() for one in member.learners if one.part.held_out]
        judgements = [_Judgement(one.user, one.part.held_out, place_of[id(one)]) for one in judges]
        evaluations = self._evaluate(judgements, self.bank, decode=False)
        finished = {}
        for user, member in ended.items():
            if member.bad_in_epoch == member.learners[0].steps_per_epoch:
                del self.members[user]
                reason = f"no step of epoch {member.epoch + 1} had a finite loss and gradient; look for damaged audio"
                yield user, reason
                continue
            if evaluations[user].loss < member.best_loss:
                member.best_loss, member.best_epoch = evaluations[user].loss, member.epoch
                for learner in member.learners:
                    learner.best = self.bank.state_of(place_of[id(learner)])
            waited = member.epoch - member.best_epoch
            member.epoch, member.bad_in_epoch = member.epoch + 1, 0
            if waited >= self.config.patience_epochs or member.epoch == self.config.num_epochs:
                finished[user] = self.members.pop(user)
                continue
            for learner in member.learners:
                learner.begin(member.epoch)
        if finished:
            yield from self._results(finished)

    def _results(self, finished: dict[int, _Member]) -> Iterator[tuple[int, AdapterFit]]:
        """The best weights of users that are done, with their errors."""
        judges = [one for member in finished.values() for one in member.learners if one.part.held_out]
        best = AdapterBank.of_states([one.best for one in judges], self.bank)
        judgements = [_Judgement(one.user, one.part.held_out, place) for place, one in enumerate(judges)]
        afters = self._evaluate(judgements, best, decode=True)
        for user, member in finished.items():
            fit = AdapterFit(
                state=member.learners[0].best,
                epochs=member.epoch,
                bad_steps=member.bad_steps,
                loss_before=member.before.loss,
                loss_after=afters[user].loss,
                score_before=member.before.score,
                score_after=afters[user].score,
            )
            yield user, fit

    def _compact(self) -> None:
        """Finished users leave the stack; done when half of it is idle, since it copies the others."""
        kept = [place for place, learner in enumerate(self.places) if learner.user in self.members]
        rows = torch.tensor(kept, dtype=torch.int64, device=self.device)
        self.bank.keep(rows)
        self.optimizer.keep(rows)
        self.places = [self.places[place] for place in kept]

    def _scales(self, learners: Sequence[_Learner], rows_of: Sequence[Sequence[int]]) -> list[Tensor]:
        """Dropout per hidden layer, [R, width]: the draws that each adapter's own training makes in this step."""
        if self.dropout == 0:
            return []
        scales: list[list[Tensor]] = [[] for _ in self.widths]
        for learner, batch in zip(learners, rows_of, strict=True):
            generator = torch.Generator().manual_seed(derive_seed(learner.seed, learner.step))
            for layer, width in enumerate(self.widths):
                scales[layer].append(dropout_scale((len(batch), width), self.dropout, generator))
        return [torch.cat(layer).to(self.device, non_blocking=True) for layer in scales]

    def _adapted(
        self,
        rows: Rows,
        learners: Sequence[_Learner],
        places: Sequence[int],
        rows_of: Sequence[Sequence[int]],
        scales: Sequence[Tensor],
    ) -> Tensor:
        """The frames of each adapter's rows through it: [N, D]."""
        counts = [
            sum(self.table.length(learner.user, row) for row in batch)
            for learner, batch in zip(learners, rows_of, strict=True)
        ]
        with products_in(self.config.precision, self.device):
            return self.bank(rows.frames, places, counts, [scale[rows.row_of_frame] for scale in scales])

    def _log_probs(self, rows: Rows, frames: Tensor) -> Tensor:
        """Frames [N, D] through the frozen head: [R, T, V]."""
        if self.model.layer_index(self.after_layer) == len(self.model.rnn_layers):
            # what follows works frame by frame, so padding need not pass through it
            return rows.padded(self.model.head(frames.unsqueeze(0), rows.lengths, self.after_layer).squeeze(0))
        return self.model.head(rows.padded(frames), rows.lengths, self.after_layer)

    @torch.no_grad()
    def _evaluate(
        self, judgements: Sequence[_Judgement], bank: AdapterBank | None, decode: bool
    ) -> dict[int, Evaluation]:
        """Mean loss, and with `decode` the errors, of each user over its judgements; of the base without a bank."""
        losses: dict[int, list[float]] = {}
        scores: dict[int, Score] = {}
        for some in self._in_pieces(judgements):
            rows_of = [one.rows for one in some]
            rows = self.table.rows([one.user for one in some], rows_of)
            frames = rows.frames
            if bank is not None:
                counts = [sum(self.table.length(one.user, row) for row in one.rows) for one in some]
                with products_in(self.config.precision, self.device):
                    frames = bank(frames, [one.place for one in some], counts, ())
            log_probs = self._log_probs(rows, frames)
            all_losses = iter(ctc_losses(log_probs, rows.lengths, rows.tokens, rows.num_tokens).tolist())
            decoded = iter(greedy(log_probs, rows.lengths)) if decode else None
            for one in some:
                losses.setdefault(one.user, []).extend(next(all_losses) for _ in one.rows)
                if decoded is not None:
                    transcripts = [self.speeches[one.user].transcripts[row] for row in one.rows]
                    own = score_decoded([next(decoded) for _ in one.rows], transcripts, self.vocabulary)
                    scores[one.user] = scores.get(one.user, Score()) + own
        return {user: Evaluation(sum(own) / len(own), scores.get(user, Score())) for user, own in losses.items()}

    def _in_pieces(self, judgements: Sequence[_Judgement]) -> Iterator[list[_Judgement]]:
        """As many judgements at a time as memory bears."""
        width = max(self.model.encoding_dim(self.after_layer), self.model.num_classes)
        piece: list[_Judgement] = []
        num_rows = longest = 0
        for one in judgements:
            longest = max(longest, *(self.table.length(one.user, row) for row in one.rows))
            num_rows += len(one.rows)
            if piece and num_rows * longest * width > MAX_EVALUATED_VALUES:
                yield piece
                piece, num_rows = [], len(one.rows)
                longest = max(self.table.length(one.user, row) for row in one.rows)
            piece.append(one)
        if piece:
            yield piece
