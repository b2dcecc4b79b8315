"""Training a stack of adapters: every step takes one batch of each user, and all users' rows share the head and CTC.

Each user keeps an order, schedule, moments, clip, early stop and best weights of their own, so that the adapter is the
one that `fit_adapter` gives alone, within floating-point tolerance, whoever else is in the stack.

Shapes: R rows (utterances) of a step, T encoding frames of the longest, D width of the encodings, N frames of all rows.
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
from ds2ray.model.layers import valid_frames
from ds2ray.text import Vocabulary
from ds2ray.training.bank import AdapterBank, BankAdamW
from ds2ray.training.evaluation import Score, score_decoded
from ds2ray.training.fit import WARMUP_FRACTION, AdapterFit, Evaluation, pad_tokens
from ds2ray.training.optim import ctc_losses, learning_rate_at
from ds2ray.training.seeds import derive_seed


@dataclass(frozen=True)
class StoredSpeech:
    """One user's encodings [T, D], on the training device, and what was said; see `UserSpeech` for the split."""

    frames: Sequence[Tensor]
    tokens: Sequence[Tensor]
    transcripts: Sequence[str]
    train: Sequence[int]
    held_out: Sequence[int]
    seed: int

    def __post_init__(self) -> None:
        if not self.train or not self.held_out:
            raise ValueError("a user needs utterances to train on and held-out ones")


@dataclass
class _Member:
    """A user's place in training, apart from the weights."""

    speech: StoredSpeech
    config: AdaptConfig
    before: Evaluation
    best_loss: float
    best_state: dict[str, Tensor]
    best_epoch: int = -1
    epoch: int = 0
    position: int = 0
    bad_steps: int = 0
    bad_in_epoch: int = 0
    batches: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.steps_per_epoch = math.ceil(len(self.speech.train) / self.config.batch_size)
        self._order()

    @property
    def step(self) -> int:
        return self.epoch * self.steps_per_epoch + self.position

    def learning_rate(self) -> float:
        total = self.steps_per_epoch * self.config.num_epochs
        return learning_rate_at(self.step, total, self.config.learning_rate, Schedule.one_cycle, WARMUP_FRACTION)

    def rows(self) -> list[int]:
        """The utterances of the step."""
        return [self.speech.train[index] for index in self.batches[self.position]]

    def advance(self, stepped: bool) -> bool:
        """Count the step; true at the end of an epoch."""
        self.bad_steps += not stepped
        self.bad_in_epoch += not stepped
        self.position += 1
        return self.position == self.steps_per_epoch

    def next_epoch(self) -> None:
        self.epoch, self.position, self.bad_in_epoch = self.epoch + 1, 0, 0
        if self.epoch < self.config.num_epochs:
            self._order()

    def _order(self) -> None:
        lengths = [len(self.speech.frames[row]) for row in self.speech.train]
        self.batches = epoch_batches(lengths, self.config.batch_size, 1, self.speech.seed, self.epoch)


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
        model.freeze_base_model()
        model.train()
        self.model, self.vocabulary, self.config, self.after_layer = model, vocabulary, config, after_layer
        self.bank = AdapterBank(adapters)
        self.optimizer = BankAdamW(self.bank, config.weight_decay, config.max_grad_norm)
        self.widths = self.bank.hidden_widths()
        self.dropout = adapters[0].dropout.p
        everyone = range(len(speeches))
        befores = self._evaluate(speeches, None, everyone, decode=True)
        self.members = {
            user: _Member(speeches[user], config, befores[user], befores[user].loss, self.bank.state_of(user))
            for user in everyone
        }
        self.places = list(everyone)  # the user in each place of the bank

    def run(self) -> Iterator[tuple[int, AdapterFit | str]]:
        """Train to the end; yields each user's place in `speeches` with the result, or why there is none, when done."""
        while self.members:
            yield from self._tick()
            if len(self.members) <= len(self.places) // 2:
                self._compact()

    def _tick(self) -> Iterator[tuple[int, AdapterFit | str]]:
        """One optimizer step of every user."""
        places = [place for place, user in enumerate(self.places) if user in self.members]
        members = [self.members[self.places[place]] for place in places]
        rows = [member.rows() for member in members]
        scales = self._dropout_scales(members, rows)
        speeches = [member.speech for member in members]
        log_probs, lengths = self._log_probs(speeches, rows, self.bank, places, scales)
        losses = self._row_losses(speeches, rows, log_probs, lengths)
        shares = [1 / len(batch) for batch in rows for _ in batch]
        for parameter in self.bank.parameters():
            parameter.grad = None
        (losses * torch.tensor(shares, device=losses.device)).sum().backward()
        rates = torch.zeros(len(self.bank), device=losses.device)
        rates[places] = torch.tensor([member.learning_rate() for member in members], device=losses.device)
        active = torch.zeros(len(self.bank), dtype=torch.bool, device=losses.device)
        active[places] = True
        stepped = self.optimizer.step(rates, active)[places].tolist()
        ended = [place for place, member, ok in zip(places, members, stepped, strict=True) if member.advance(ok)]
        if ended:
            yield from self._end_epoch(ended)

    def _end_epoch(self, places: list[int]) -> Iterator[tuple[int, AdapterFit | str]]:
        users = [self.places[place] for place in places]
        speeches = [self.members[user].speech for user in users]
        evaluations = self._evaluate(speeches, self.bank, places, decode=False)
        finished = []
        for user, place, evaluation in zip(users, places, evaluations, strict=True):
            member = self.members[user]
            if member.bad_in_epoch == member.steps_per_epoch:
                del self.members[user]
                yield (
                    user,
                    f"no step of epoch {member.epoch + 1} had a finite loss and gradient; look for damaged audio",
                )
                continue
            if evaluation.loss < member.best_loss:
                member.best_loss, member.best_epoch = evaluation.loss, member.epoch
                member.best_state = self.bank.state_of(place)
            waited = member.epoch - member.best_epoch
            member.next_epoch()
            if waited >= self.config.patience_epochs or member.epoch == self.config.num_epochs:
                finished.append(user)
        if finished:
            yield from self._finish(finished)

    def _finish(self, users: list[int]) -> Iterator[tuple[int, AdapterFit]]:
        """Take users out, with the errors of their best weights."""
        members = [self.members.pop(user) for user in users]
        best = AdapterBank.of_states([member.best_state for member in members], self.bank)
        speeches, places = [member.speech for member in members], list(range(len(members)))
        afters = self._evaluate(speeches, best, places, decode=True)
        for user, member, after in zip(users, members, afters, strict=True):
            fit = AdapterFit(
                state=member.best_state,
                epochs=member.epoch,
                bad_steps=member.bad_steps,
                loss_before=member.before.loss,
                loss_after=after.loss,
                score_before=member.before.score,
                score_after=after.score,
            )
            yield user, fit

    def _compact(self) -> None:
        """Finished users leave the stack; done when half of it is idle, since it copies the others."""
        kept = [place for place, user in enumerate(self.places) if user in self.members]
        rows = torch.tensor(kept, dtype=torch.int64, device=self.optimizer.steps.device)
        self.bank.keep(rows)
        self.optimizer.keep(rows)
        self.places = [self.places[place] for place in kept]

    def _dropout_scales(self, members: Sequence[_Member], rows: Sequence[Sequence[int]]) -> list[Tensor]:
        """Per hidden layer [N, width]: the draws that each user's own training makes in this step."""
        if self.dropout == 0:
            return []
        scales: list[list[Tensor]] = [[] for _ in self.widths]
        for member, batch in zip(members, rows, strict=True):
            torch.manual_seed(derive_seed(member.speech.seed, member.step))
            lengths = torch.tensor([len(member.speech.frames[row]) for row in batch])
            for layer, width in enumerate(self.widths):
                scale = dropout_scale((len(batch), width), self.dropout)
                scales[layer].append(scale.repeat_interleave(lengths, dim=0))
        return [torch.cat(layer).to(self.optimizer.steps.device) for layer in scales]

    def _log_probs(
        self,
        speeches: Sequence[StoredSpeech],
        rows: Sequence[Sequence[int]],
        bank: AdapterBank | None,
        places: Sequence[int],
        scales: Sequence[Tensor] = (),
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities [R, T, V] and lengths [R] of each user's rows."""
        parts = [speech.frames[row] for speech, batch in zip(speeches, rows, strict=True) for row in batch]
        lengths = [len(part) for part in parts]
        frames = torch.cat(parts)
        if bank is not None:
            counts = [sum(len(s.frames[row]) for row in batch) for s, batch in zip(speeches, rows, strict=True)]
            frames = bank(frames, places, counts, scales)
        on_device = torch.tensor(lengths, device=frames.device)
        places_of_frames = valid_frames(on_device, max(lengths)).flatten().nonzero().squeeze(1)

        def padded(flat: Tensor) -> Tensor:
            rows = flat.new_zeros(len(lengths) * max(lengths), flat.shape[1])
            return rows.index_copy(0, places_of_frames, flat).view(len(lengths), max(lengths), -1)

        if self.model.layer_index(self.after_layer) == len(self.model.rnn_layers):
            # what follows works frame by frame, so padding need not pass through it
            return padded(self.model.head(frames.unsqueeze(0), on_device, self.after_layer).squeeze(0)), on_device
        return self.model.head(padded(frames), on_device, self.after_layer), on_device

    def _row_losses(
        self, speeches: Sequence[StoredSpeech], rows: Sequence[Sequence[int]], log_probs: Tensor, lengths: Tensor
    ) -> Tensor:
        tokens = [speech.tokens[row] for speech, batch in zip(speeches, rows, strict=True) for row in batch]
        return ctc_losses(log_probs, lengths, *pad_tokens(tokens, log_probs.device))

    @torch.no_grad()
    def _evaluate(
        self, speeches: Sequence[StoredSpeech], bank: AdapterBank | None, places: Sequence[int], decode: bool
    ) -> list[Evaluation]:
        """Held-out loss, and with `decode` the errors, of each user; of the base alone without a bank."""
        rows = [speech.held_out for speech in speeches]
        log_probs, lengths = self._log_probs(speeches, rows, bank, places)
        losses = self._row_losses(speeches, rows, log_probs, lengths).split([len(batch) for batch in rows])
        decoded = iter(greedy(log_probs, lengths)) if decode else None
        evaluations = []
        for speech, own in zip(speeches, losses, strict=True):
            score = Score()
            if decoded is not None:
                hypotheses = [next(decoded) for _ in speech.held_out]
                score = score_decoded(hypotheses, [speech.transcripts[r] for r in speech.held_out], self.vocabulary)
            evaluations.append(Evaluation(float(own.mean()), score))
        return evaluations
