"""A cohort: many users' adapters against one frozen base, from speech that is encoded once.

Nothing here knows of Ray or of the store: users go in, results come out one by one.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ds2ray.config import AdaptConfig, AdapterConfig, ErrorMetric
from ds2ray.data.manifest import Utterance
from ds2ray.errors import StorageError
from ds2ray.model.adapter import MLPAdapter
from ds2ray.model.weights import Base
from ds2ray.training.encode import encode_utterances
from ds2ray.training.fit import AdapterFit, Evaluation, UserSpeech, evaluate_adapter, fit_adapter, hold_out
from ds2ray.training.seeds import derive_seed
from ds2ray.training.stacked import StackedTraining, StoredSpeech

log = logging.getLogger(__name__)

STACK_USERS = {"cpu": 8}
"""Users trained in one stack, by device; elsewhere all of a cohort. A CPU gains nothing from more than a few, and the
first of them are published sooner."""

OpenCurrent = Callable[[str], MLPAdapter | None]
"""User key → the adapter that the user has now, where it fits this base."""


@dataclass(frozen=True)
class CohortUser:
    """A user to adapt: the key that seeds everything, and the speech."""

    user_key: str
    utterances: Sequence[Utterance]


@dataclass(frozen=True)
class CohortResult:
    """What became of one user.

    Attributes:
        fit: the trained adapter; None where training was not possible, for `reason`.
        better: whether its held-out error is no worse than the base's and the current adapter's (the gate).
        failed: whether training itself went wrong, as opposed to too little usable speech.
        current: held-out evaluation of the adapter that the user had before.
        dropped: unusable utterances, by reason.
    """

    user_key: str
    seconds: float
    utterances_used: int
    dropped: dict[str, int] = field(default_factory=dict)
    fit: AdapterFit | None = None
    better: bool = False
    failed: bool = False
    reason: str = ""
    current: Evaluation | None = None


@dataclass(frozen=True)
class _EncodedUser:
    user_key: str
    encodings: list[Tensor]
    transcripts: list[str]
    dropped: dict[str, int]


def adapt_cohort(
    base: Base,
    users: Sequence[CohortUser],
    adapter: AdapterConfig,
    adapt: AdaptConfig,
    *,
    open_current: OpenCurrent = lambda user_key: None,
    device: torch.device | str = "cpu",
) -> Iterator[CohortResult]:
    """Encode the speech of all users, then train their adapters; yields each user's result when it is done.

    A user whose speech cannot be used, or whose training fails, is a result like any other.
    """
    base.model.freeze_base_model()
    started_s = time.perf_counter()
    encoded = _encode_users(base, users, adapter.after_layer, adapt.encode_batch_s, device)
    # encoding is shared work: each user is charged an equal part of it
    share_s = (time.perf_counter() - started_s) / max(1, len(users))
    training = _CohortTraining(base, adapter, adapt, open_current, torch.device(device))
    enough = [user for user in encoded if len(user.encodings) >= adapt.min_utterances]
    for user in encoded:
        if len(user.encodings) < adapt.min_utterances:
            yield replace(_too_few(user, adapt.min_utterances), seconds=share_s)
    size = STACK_USERS.get(torch.device(device).type, len(enough)) or 1
    for start in range(0, len(enough), size):
        for result in training.adapt(enough[start : start + size]):
            yield replace(result, seconds=share_s + result.seconds)


def speech_of(
    base: Base,
    encodings: Sequence[Tensor],
    transcripts: Sequence[str],
    fraction: float,
    seed: int,
    device: torch.device | str,
) -> UserSpeech:
    """Encodings [T, D] and transcripts of one user, split for training."""

    def encode(rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        lengths = torch.tensor([len(encodings[row]) for row in rows], device=device)
        padded = torch.nn.utils.rnn.pad_sequence([encodings[row] for row in rows], batch_first=True)
        return padded.to(device), lengths

    train, held_out = hold_out(len(encodings), fraction, seed)
    tokens = [torch.tensor(base.vocabulary.encode_known(text), dtype=torch.int64) for text in transcripts]
    return UserSpeech(encode, [len(rows) for rows in encodings], tokens, transcripts, train, held_out)


def _encode_users(
    base: Base, users: Sequence[CohortUser], after_layer: int, max_padded_s: float, device: torch.device | str
) -> list[_EncodedUser]:
    utterances = [utterance for user in users for utterance in user.utterances]
    encoded = encode_utterances(base, utterances, after_layer=after_layer, max_padded_s=max_padded_s, device=device)
    result, start = [], 0
    for user in users:
        indices = range(start, start + len(user.utterances))
        start = indices.stop
        kept = [(encoded.encodings[index], utterances[index].transcript) for index in indices]
        for index in indices:
            if index in encoded.problems:
                utterance = utterances[index]
                log.warning("%s, utterance %s: %s", user.user_key, utterance.utterance_id, encoded.problems[index])
        result.append(
            _EncodedUser(
                user.user_key,
                [rows for rows, _ in kept if rows is not None],
                [transcript for rows, transcript in kept if rows is not None],
                dict(Counter(encoded.problems[index] for index in indices if index in encoded.problems)),
            )
        )
    return result


def _too_few(user: _EncodedUser, least: int) -> CohortResult:
    reason = f"{len(user.encodings)} usable utterances, at least {least} are needed"
    causes = "; ".join(f"{count} × {cause}" for cause, count in user.dropped.items())
    reason = f"{reason} ({causes})" if causes else reason
    return CohortResult(user.user_key, 0.0, len(user.encodings), user.dropped, reason=reason)


@dataclass(frozen=True)
class _CohortTraining:
    """Trains users of a cohort, as a stack or, where a stack breaks, one by one."""

    base: Base
    config: AdapterConfig
    adapt_config: AdaptConfig
    open_current: OpenCurrent
    device: torch.device

    def adapt(self, users: Sequence[_EncodedUser]) -> Iterator[CohortResult]:
        """Train a stack of users; yields each one's result when it is done, charged an equal part of the time."""
        started_s = time.perf_counter()
        waiting = {user.user_key: user for user in users}
        try:
            for user, fit in self._fit_stack(users):
                seconds = (time.perf_counter() - started_s) / len(users)
                yield replace(self._result(user, fit), seconds=seconds)
                del waiting[user.user_key]
        except (StorageError, GeneratorExit):
            raise
        except Exception:
            # whatever goes wrong must not stop more than the one user that it belongs to
            log.exception("a stack of %d users broke; those unfinished are trained one by one", len(users))
        for user in waiting.values():
            started_s = time.perf_counter()
            result = self._adapt_alone(user)
            yield replace(result, seconds=time.perf_counter() - started_s)

    def _fit_stack(self, users: Sequence[_EncodedUser]) -> Iterator[tuple[_EncodedUser, AdapterFit | str]]:
        speeches = [self._speech(user) for user in users]
        stored = [
            StoredSpeech(
                frames=[rows.to(self.device) for rows in user.encodings],
                tokens=speech.tokens,
                transcripts=speech.transcripts,
                train=speech.train,
                held_out=speech.held_out,
                seed=self._seed(user),
            )
            for user, speech in zip(users, speeches, strict=True)
        ]
        adapters = [self._fresh_adapter(user) for user in users]
        stack = StackedTraining(
            self.base.model, adapters, stored, self.base.vocabulary, self.adapt_config, self.config.after_layer
        )
        for place, fit in stack.run():
            yield users[place], fit

    def _adapt_alone(self, user: _EncodedUser) -> CohortResult:
        try:
            fit: AdapterFit | str = fit_adapter(
                self.base.model,
                self._fresh_adapter(user),
                self._speech(user),
                self.base.vocabulary,
                self.adapt_config,
                seed=self._seed(user),
                after_layer=self.config.after_layer,
            )
            return self._result(user, fit)
        except StorageError:
            raise
        except Exception as error:
            log.exception("%s: training failed", user.user_key)
            return self._result(user, f"{type(error).__name__}: {error}")

    def _result(self, user: _EncodedUser, fit: AdapterFit | str) -> CohortResult:
        result = CohortResult(user.user_key, 0.0, len(user.encodings), user.dropped)
        if isinstance(fit, str):
            return replace(result, failed=True, reason=fit)
        current_adapter, current = self.open_current(user.user_key), None
        if current_adapter is not None:
            current = evaluate_adapter(
                self.base.model,
                current_adapter.to(self.device),
                self._speech(user),
                self.base.vocabulary,
                self.adapt_config.batch_size,
                self.config.after_layer,
            )
        reason = gate(fit, current, self.adapt_config.gate_metric)
        return replace(result, fit=fit, better=not reason, reason=reason, current=current)

    def _seed(self, user: _EncodedUser) -> int:
        return derive_seed(self.adapt_config.seed, user.user_key)

    def _speech(self, user: _EncodedUser) -> UserSpeech:
        fraction = self.adapt_config.held_out_fraction
        return speech_of(self.base, user.encodings, user.transcripts, fraction, self._seed(user), self.device)

    def _fresh_adapter(self, user: _EncodedUser) -> MLPAdapter:
        torch.manual_seed(self._seed(user))
        dim = self.base.model.encoding_dim(self.config.after_layer)
        return MLPAdapter.from_config(dim, self.config).to(self.device)


def gate(fit: AdapterFit, current: Evaluation | None, metric: ErrorMetric) -> str:
    """Why a trained adapter must not be published; empty where it may.

    Its held-out error must be no worse than the base's and the current adapter's.
    """
    name = metric.name.upper()
    after = fit.score_after.rate(metric)
    if fit.loss_after >= fit.loss_before:
        return f"training did not lower the held-out loss ({fit.loss_before:.3f})"
    if after > fit.score_before.rate(metric):
        return f"held-out {name} {after:.1%} is worse than the base's {fit.score_before.rate(metric):.1%}"
    if current is not None and after > current.score.rate(metric):
        return f"held-out {name} {after:.1%} is worse than the current adapter's {current.score.rate(metric):.1%}"
    return ""
