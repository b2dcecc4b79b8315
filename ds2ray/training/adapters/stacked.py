"""Training a stack of adapters: every step takes one batch of each, and all rows share the frozen head and CTC.

Each adapter keeps an order, schedule, moments, clip, early stop and best weights of its own, so that it equals the
adapter of `fit_adapter`, within floating-point tolerance, whichever users share the stack. A user has one adapter
per part of its speech: the first is the user's own, further ones judge it by cross-validation.

Shapes: R rows (utterances) of a step, T frames of the longest, N frames of all rows, V size of the vocabulary.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ds2ray.batching.batches import epoch_batches
from ds2ray.config import AdaptConfig, Schedule
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.adapters.adapter import Adapter, dropout_scale
from ds2ray.text import Vocabulary
from ds2ray.training.adapters.bank import AdapterBank, BankAdamW
from ds2ray.training.adapters.fit import WARMUP_FRACTION, AdapterFit, Evaluation
from ds2ray.training.adapters.held_out import Judge, Judgement, head_log_probs
from ds2ray.training.adapters.split import Part, part_seed
from ds2ray.training.adapters.stored import Rows, SpeechTable, StoredSpeech
from ds2ray.training.optim import ctc_losses, kl_divergences, learning_rate_at
from ds2ray.training.precision import products_in
from ds2ray.training.seeds import derive_seed


@dataclass
class _Learner:
    """One adapter's progress, apart from the weights. At the end of an epoch it waits for the user's others."""

    user: int
    place: int  # in the bank
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


class StackedTraining:
    """Trains adapters of one shape together."""

    def __init__(
        self,
        model: AcousticModel,
        adapters: Sequence[Adapter],
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
        self.model, self.config, self.after_layer = model, config, after_layer
        self.bank = AdapterBank([a for a, s in zip(adapters, speeches, strict=True) for _ in s.parts])
        self.optimizer = BankAdamW(self.bank, config.weight_decay, config.max_grad_norm)
        self.device = self.optimizer.steps.device
        self.table = SpeechTable(speeches, self.device)
        self.speeches = speeches
        self.widths, self.dropout = adapters[0].scale_widths, adapters[0].config.dropout
        self.judge = Judge(model, self.table, speeches, vocabulary, config.precision, after_layer)
        befores = self.judge.evaluate(
            [Judgement(u, part.held_out) for u, s in enumerate(speeches) for part in s.parts if part.held_out],
            bank=None,
            decode=True,
        )
        self.learners: list[_Learner] = []  # in the order of their places
        self.members: dict[int, _Member] = {}
        for user, speech in enumerate(speeches):
            learners = [self._learner(user, number) for number in range(len(speech.parts))]
            self.members[user] = _Member(speech, befores[user], learners, befores[user].loss)

    def _learner(self, user: int, number: int) -> _Learner:
        speech = self.speeches[user]
        part = speech.parts[number]
        lengths = [self.table.length(user, row) for row in part.train]
        place = len(self.learners)
        seed = part_seed(speech.seed, number)
        learner = _Learner(user, place, part, seed, self.config, lengths, self.bank.state_of(place))
        self.learners.append(learner)
        return learner

    def run(self) -> Iterator[tuple[int, AdapterFit | str]]:
        """Train to the end; yields each user's place in `speeches` with the result, or why there is none, when done."""
        return (event for event in self.steps() if not isinstance(event, float))

    def steps(self) -> Iterator[tuple[int, AdapterFit | str] | float]:
        """As `run`; after each step it yields the share of all steps that is done, as if no user stopped early."""
        while self.members:
            yield from self._tick()
            yield self._share_done()
            busy = sum(len(member.learners) for member in self.members.values())
            if busy <= len(self.learners) // 2:
                self._compact()

    def _tick(self) -> Iterator[tuple[int, AdapterFit | str]]:
        """One optimizer step of every adapter that is not waiting."""
        learners = [one for one in self.learners if one.user in self.members and not one.waits]
        places = [learner.place for learner in learners]
        rows_of = [learner.rows() for learner in learners]
        rows = self.table.rows([learner.user for learner in learners], rows_of)
        adapted = self._adapted(rows, learners, rows_of)
        log_probs = head_log_probs(self.model, rows, adapted, self.after_layer)
        losses = ctc_losses(log_probs, rows.lengths, rows.tokens, rows.num_tokens)
        if self.config.kl_weight:
            with torch.no_grad():
                of_base = head_log_probs(self.model, rows, rows.frames, self.after_layer)
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
        judges = [one for member in ended.values() for one in member.learners if one.part.held_out]
        judgements = [Judgement(one.user, one.part.held_out, one.place) for one in judges]
        evaluations = self.judge.evaluate(judgements, self.bank, decode=False)
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
                    learner.best = self.bank.state_of(learner.place)
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
        judgements = [Judgement(one.user, one.part.held_out, place) for place, one in enumerate(judges)]
        afters = self.judge.evaluate(judgements, best, decode=True)
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

    def _share_done(self) -> float:
        done = len(self.speeches) - len(self.members)
        under_way = (member.learners[0] for member in self.members.values())
        steps = self.config.num_epochs
        return (done + sum(one.step / (one.steps_per_epoch * steps) for one in under_way)) / len(self.speeches)

    def _compact(self) -> None:
        """Finished users leave the stack; done when half of it is idle, since it copies the others."""
        self.learners = [learner for learner in self.learners if learner.user in self.members]
        kept = torch.tensor([learner.place for learner in self.learners], dtype=torch.int64, device=self.device)
        self.bank.keep(kept)
        self.optimizer.keep(kept)
        for place, learner in enumerate(self.learners):
            learner.place = place

    def _scales(self, learners: Sequence[_Learner], rows_of: Sequence[Sequence[int]]) -> list[Tensor]:
        """Dropout for each of `widths`, [R, width]: the draws that each adapter's own training makes in this step."""
        if self.dropout == 0:
            return []
        scales: list[list[Tensor]] = [[] for _ in self.widths]
        for learner, batch in zip(learners, rows_of, strict=True):
            generator = torch.Generator().manual_seed(derive_seed(learner.seed, learner.step))
            for layer, width in enumerate(self.widths):
                scales[layer].append(dropout_scale((len(batch), width), self.dropout, generator))
        return [torch.cat(layer).to(self.device, non_blocking=True) for layer in scales]

    def _adapted(self, rows: Rows, learners: Sequence[_Learner], rows_of: Sequence[Sequence[int]]) -> Tensor:
        """The frames of each adapter's rows through it, with dropout: [N, D]."""
        places = [learner.place for learner in learners]
        counts = [self.table.num_frames(one.user, batch) for one, batch in zip(learners, rows_of, strict=True)]
        scales = [scale[rows.row_of_frame] for scale in self._scales(learners, rows_of)]
        with products_in(self.config.precision, self.device):
            return self.bank(rows.frames, places, counts, scales)
