"""Training a stack of adapters: every step takes one batch of each, and all rows share the frozen head and CTC.

Each adapter keeps an order, schedule, moments, clip, early stop and best weights of its own, so that it is the adapter
of a training alone, whichever users share the stack: within floating-point tolerance, as sums are rounded otherwise in
batches of another shape. A user has one adapter per part of its speech: the first is the user's own, further ones
judge it by cross-validation.

Shapes: R rows (utterances) of a step, T frames of the longest, N frames of all rows, V size of the vocabulary.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from ds2ray.config import AdaptConfig
from ds2ray.decoding.decoder import Decoder
from ds2ray.decoding.greedy import Greedy
from ds2ray.errors import TrainingDivergedError
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.adapters.adapter import Adapter, dropout_scale
from ds2ray.text import Vocabulary
from ds2ray.training.adapters.anchor import Anchor
from ds2ray.training.adapters.judging.held_out import Judge, Judgement, head_log_probs
from ds2ray.training.adapters.judging.results import AdapterFit, Evaluation
from ds2ray.training.adapters.judging.split import part_seed
from ds2ray.training.adapters.speech import UserSpeech
from ds2ray.training.adapters.stack.bank import AdapterBank, BankAdamW, StackOptimizer
from ds2ray.training.adapters.stack.learners import Learner, Member, held_to_base, is_judged, warm_config
from ds2ray.training.adapters.stack.stored import Rows, SpeechTable
from ds2ray.training.optim import Criterion, ctc_losses, kl_divergences
from ds2ray.training.precision import products_in
from ds2ray.training.seeds import derive_seed

DIVERGED = (
    "no step of epoch {epoch} had a finite loss and gradient; look for damaged audio, or lower the learning rate "
    "({rate:g})"
)

STACK_ROWS = {"cpu": 16}
"""Rows of a step, about so many, by type of device; on other types all users train in one stack.

A frame of a recurrence costs a CPU nearly as much for one row as for eight. More than these bring little, and take
memory. Models that round a row otherwise in other batches (`AcousticModel.same_in_any_batch`) train a user at a time
there.
"""


class StackedTraining:
    """Trains adapters of one shape together."""

    def __init__(
        self,
        model: AcousticModel,
        adapters: Sequence[Adapter],
        speeches: Sequence[UserSpeech],
        vocabulary: Vocabulary,
        config: AdaptConfig,
        after_layer: int,
        *,
        decoder: Decoder = Greedy(),
        optimizer: Callable[[AdapterBank], StackOptimizer] | None = None,
        criterion: Criterion = ctc_losses,
        max_steps_per_epoch: int = 0,
        returning: Collection[int] = (),
        anchor: Anchor | None = None,
    ) -> None:
        """
        Args:
            adapters: of each user the one that training starts from, on the training device.
            decoder: of the judge, which counts errors.
            optimizer: makes the stack's; None: AdamW as `config` says.
            max_steps_per_epoch: 0: all.
            returning: places of the users, of one part each, whose adapters are trained ones: these train for
                `config.warm_epochs`, and better than they were or not at all.
            anchor: ordinary speech that the adapters are held to the base on, and judged by.

        Raises:
            ValueError: a user has nothing to train on, or nothing held out.
        """
        model.freeze_base_model()
        model.train()
        self.model, self.config, self.after_layer = model, config, after_layer
        self.criterion, self.max_steps_per_epoch = criterion, max_steps_per_epoch
        self.anchor = anchor
        self.bank = AdapterBank([a for a, s in zip(adapters, speeches, strict=True) for _ in s.parts])
        self.optimizer: StackOptimizer = (
            optimizer(self.bank) if optimizer else BankAdamW(self.bank, config.weight_decay, config.max_grad_norm)
        )
        self.device = self.bank.device
        self.table = SpeechTable(speeches, self.device)
        self.speeches = speeches
        self.widths, self.dropout = adapters[0].scale_widths, adapters[0].config.dropout
        self.judge = Judge(model, self.table, speeches, vocabulary, config.precision, after_layer, decoder, criterion)
        befores = self.judge.evaluate(
            [Judgement(u, part.held_out) for u, s in enumerate(speeches) for part in s.parts if part.held_out],
            bank=None,
            decode=True,
        )
        self.learners: list[Learner] = []  # in the order of their places
        self.members: dict[int, Member] = {}
        warm = warm_config(config)
        for user, speech in enumerate(speeches):
            own = held_to_base(warm if user in returning else config, befores[user].score)
            learners = [self._learner(user, number, own) for number in range(len(speech.parts))]
            self.members[user] = Member(befores[user], learners, own, befores[user].loss)
        for user, start in self._starts(returning).items():
            member = self.members[user]
            member.start, member.best_loss = start, start.loss

    def _starts(self, returning: Collection[int]) -> dict[int, Evaluation]:
        """The evaluation of the adapters that are trained already."""
        judges = [self.members[user].learners[0] for user in sorted(returning)]
        return self.judge.evaluate(
            [Judgement(one.user, one.part.held_out, one.place) for one in judges], self.bank, True
        )

    def _learner(self, user: int, number: int, config: AdaptConfig) -> Learner:
        speech = self.speeches[user]
        part = speech.parts[number]
        place = len(self.learners)
        seed = part_seed(speech.seed, number)
        best, length = self.bank.state_of(place), partial(self.table.length, user)
        learner = Learner(user, place, part, seed, config, length, best, self.max_steps_per_epoch)
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
        weights = [self.speeches[one.user].weights for one in learners]
        shares = torch.tensor(
            [own.get(row, 1.0) / len(batch) for own, batch in zip(weights, rows_of, strict=True) for row in batch],
            device=self.device,
        )
        log_probs = head_log_probs(self.model, rows, adapted, self.after_layer)
        losses = self.criterion(log_probs, rows.lengths, rows.tokens, rows.num_tokens)
        if self.config.kl_weight:
            with torch.no_grad():
                of_base = head_log_probs(self.model, rows, rows.frames, self.after_layer)
            losses = losses + self.config.kl_weight * kl_divergences(log_probs, of_base, rows.lengths)
        for parameter in self.bank.parameters():
            parameter.grad = None
        pull = self.anchor.pull(self.model, self.bank, learners, self.after_layer) if self.anchor else 0.0
        ((losses * shares).sum() + pull).backward()
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

    def _end_epoch(self, ended: dict[int, Member]) -> Iterator[tuple[int, AdapterFit | str]]:
        judged = [member for member in ended.values() if is_judged(member.epoch, member.config)]
        judges = [one for member in judged for one in member.learners if one.part.held_out]
        judgements = [Judgement(one.user, one.part.held_out, one.place) for one in judges]
        last = any(member.epoch + 1 == member.config.num_epochs for member in ended.values())
        evaluations = self.judge.evaluate(judgements, self.bank, decode=last)
        finished = {}
        for user, member in ended.items():
            if member.bad_in_epoch == member.learners[0].steps_per_epoch:
                del self.members[user]
                yield user, DIVERGED.format(epoch=member.epoch + 1, rate=self.config.learning_rate)
                continue
            if user in evaluations and evaluations[user].loss < member.best_loss:
                member.best_loss, member.best_epoch = evaluations[user].loss, member.epoch
                member.after = evaluations[user] if last else None
                for learner in member.learners:
                    learner.best = self.bank.state_of(learner.place)
            waited = member.epoch - member.best_epoch
            member.epoch, member.bad_in_epoch = member.epoch + 1, 0
            if waited >= member.config.patience_epochs or member.epoch == member.config.num_epochs:
                finished[user] = self.members.pop(user)
                continue
            for learner in member.learners:
                learner.begin(member.epoch)
        if finished:
            yield from self._results(finished)

    def _results(self, finished: dict[int, Member]) -> Iterator[tuple[int, AdapterFit]]:
        """The best weights of users that are done, with their errors."""
        afters = {user: member.after for user, member in finished.items() if member.after}
        unjudged = [member for user, member in finished.items() if user not in afters]
        judges = [one for member in unjudged for one in member.learners if one.part.held_out]
        if judges:
            best = AdapterBank.of_states([one.best for one in judges], self.bank)
            judgements = [Judgement(one.user, one.part.held_out, place) for place, one in enumerate(judges)]
            afters |= self.judge.evaluate(judgements, best, decode=True)
        for user, member in finished.items():
            fit = AdapterFit(
                state=member.learners[0].best,
                epochs=member.epoch,
                bad_steps=member.bad_steps,
                loss_before=member.before.loss,
                loss_after=afters[user].loss,
                score_before=member.before.score,
                score_after=afters[user].score,
                score_start=member.start.score if member.start else None,
                judged_start=member.start.utterances if member.start else (),
                trained=member.best_epoch >= 0,
                judged_before=member.before.utterances,
                judged_after=afters[user].utterances,
                anchor=self.anchor.errors(self.judge, member.learners[0].best, self.bank) if self.anchor else None,
            )
            yield user, fit

    def _share_done(self) -> float:
        done = len(self.speeches) - len(self.members)
        under_way = (member.learners[0] for member in self.members.values())
        return (done + sum(one.step / one.num_steps for one in under_way)) / len(self.speeches)

    def _compact(self) -> None:
        """Finished users leave the stack; done when half of it is idle, since it copies the others."""
        self.learners = [learner for learner in self.learners if learner.user in self.members]
        kept = torch.tensor([learner.place for learner in self.learners], dtype=torch.int64, device=self.device)
        self.bank.keep(kept)
        self.optimizer.keep(kept)
        for place, learner in enumerate(self.learners):
            learner.place = place

    def _scales(self, learners: Sequence[Learner], rows_of: Sequence[Sequence[int]]) -> list[Tensor]:
        """Dropout for each of `widths`, [R, width]: the draws that each adapter's own training makes in this step."""
        if self.dropout == 0:
            return []
        scales: list[list[Tensor]] = [[] for _ in self.widths]
        for learner, batch in zip(learners, rows_of, strict=True):
            generator = torch.Generator().manual_seed(derive_seed(learner.seed, learner.step))
            for layer, width in enumerate(self.widths):
                scales[layer].append(dropout_scale((len(batch), width), self.dropout, generator))
        return [torch.cat(layer).to(self.device, non_blocking=True) for layer in scales]

    def _adapted(self, rows: Rows, learners: Sequence[Learner], rows_of: Sequence[Sequence[int]]) -> Tensor:
        """The frames of each adapter's rows through it, with dropout: [N, D]."""
        places = [learner.place for learner in learners]
        counts = [self.table.num_frames(one.user, batch) for one, batch in zip(learners, rows_of, strict=True)]
        scales = [scale[rows.row_of_frame] for scale in self._scales(learners, rows_of)]
        with products_in(self.config.precision, self.device):
            return self.bank(rows.frames, places, counts, scales)


def stacks(
    model: AcousticModel, speeches: Sequence[UserSpeech], device: torch.device | str, batch_size: int
) -> Iterator[Sequence[UserSpeech]]:
    """Divide users into stacks of the size that suits the device; in one are those with about as much speech."""
    rows = STACK_ROWS.get(torch.device(device).type, math.inf)
    if rows < math.inf and not model.same_in_any_batch:
        rows = 1
    stack: list[UserSpeech] = []
    for speech in sorted(speeches, key=lambda speech: len(speech.parts[0].train)):
        stack.append(speech)
        if sum(len(one.parts) for one in stack) * batch_size >= rows:
            yield stack
            stack = []
    if stack:
        yield stack


def train_one(stack: StackedTraining) -> AdapterFit:
    """The adapter of a stack of one user, trained to the end.

    Raises:
        TrainingDivergedError: no step of an epoch had a finite loss and gradient.
    """
    ((_, fit),) = stack.run()
    if isinstance(fit, str):
        raise TrainingDivergedError(fit)
    return fit
