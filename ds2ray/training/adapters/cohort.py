"""A cohort: many users' adapters against one frozen base, from speech that is encoded once.

Nothing here knows of Ray or of the store: users go in, results come out one by one.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch

from ds2ray.config import AdaptConfig, AdapterConfig
from ds2ray.errors import StorageError
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.model.adapters.kinds import build_adapter
from ds2ray.model.weights import Base
from ds2ray.store import shown_user
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.encoded import CohortUser, EncodedUser, encoding_of_users, speech_of, user_seed
from ds2ray.training.adapters.fit import AdapterFit, evaluate_adapter, fit_adapter
from ds2ray.training.adapters.gate import CurrentAdapter, gate
from ds2ray.training.adapters.progress import CohortProgress, Stage, encoding_progress, told, training_progress
from ds2ray.training.adapters.split import CROSS_VALIDATED, split_rule
from ds2ray.training.adapters.stacked import StackedTraining
from ds2ray.training.adapters.stages import StageClock
from ds2ray.training.adapters.stored import StoredSpeech

log = logging.getLogger(__name__)

STACK_USERS = {"cpu": 8}
"""Users trained in one stack, by type of device; on other types all users of a cohort. A CPU gains nothing from larger
stacks, and publishes its first users sooner with small ones."""

TOO_LARGE = "training does not fit the device's memory; lower adapt.batch_size, or raise adapt.gpus_per_trial"

OpenCurrent = Callable[[str], CurrentAdapter | None]
"""User key → the adapter that the user has now, where it fits this base."""


@dataclass(frozen=True)
class CohortResult:
    """The result of one user.

    Attributes:
        fit: the trained adapter; None where training was not possible, for `reason`.
        better: whether its held-out error is no worse than the base's and the current adapter's (the gate).
        failed: whether training itself went wrong, as opposed to too little usable speech.
        current_error: held-out error of the adapter that the user had before.
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
    current_error: float | None = None


def adapt_cohort(
    base: Base,
    users: Sequence[CohortUser],
    adapter: AdapterConfig,
    adapt: AdaptConfig,
    *,
    open_current: OpenCurrent = lambda user_key: None,
    device: torch.device | str = "cpu",
    max_duration_s: float = math.inf,
    stages: StageClock | None = None,
) -> Iterator[CohortResult]:
    """Encode the speech of all users, then train their adapters; yields each user's result when it is done.

    A user whose speech cannot be used, or whose training fails, is a result like any other.

    Args:
        max_duration_s: longer utterances are dropped, whatever their manifest says.
        stages: is told where the time goes.
    """
    events = cohort_events(
        base,
        users,
        adapter,
        adapt,
        open_current=open_current,
        device=device,
        max_duration_s=max_duration_s,
        stages=stages,
    )
    return (event for event in events if isinstance(event, CohortResult))


def cohort_events(
    base: Base,
    users: Sequence[CohortUser],
    adapter: AdapterConfig,
    adapt: AdaptConfig,
    *,
    open_current: OpenCurrent = lambda user_key: None,
    device: torch.device | str = "cpu",
    max_duration_s: float = math.inf,
    stages: StageClock | None = None,
) -> Iterator[CohortResult | CohortProgress]:
    """As `adapt_cohort`; yields the cohort's progress, too, after each call of the trunk and each step of a stack."""
    stages = stages or StageClock()
    base.model.freeze_base_model()
    started_s = time.perf_counter()
    encoder = Encoder(base, adapter.after_layer, adapt.encode_batch_s, device, adapt.precision, max_duration_s, stages)
    num_utterances = sum(len(user.utterances) for user in users)
    yield CohortProgress(Stage.encoding, 0, 0.0)
    encoding = encoding_of_users(encoder, users)
    encoded = yield from told(encoding, lambda done: encoding_progress(done, num_utterances))
    # encoding is shared work: each user is charged an equal part of it
    share_s = (time.perf_counter() - started_s) / max(1, len(users))
    training = _CohortTraining(base, adapter, adapt, open_current, torch.device(device), stages)
    enough = [user for user in encoded if len(user.encodings) >= adapt.min_utterances]
    for user in encoded:
        if len(user.encodings) < adapt.min_utterances:
            yield replace(_too_few(user, adapt.min_utterances), seconds=share_s)
    size = STACK_USERS.get(torch.device(device).type, len(enough)) or 1
    for start in range(0, len(enough), size):
        stack = enough[start : start + size]
        for event in training.adapt(stack):
            if isinstance(event, CohortResult):
                yield replace(event, seconds=share_s + event.seconds)
            else:
                yield training_progress((start + event * len(stack)) / len(enough), num_utterances)
        for user in stack:
            user.encodings.clear()  # the memory is for the next stack


def _too_few(user: EncodedUser, least: int) -> CohortResult:
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
    stages: StageClock

    def adapt(self, users: Sequence[EncodedUser]) -> Iterator[CohortResult | float]:
        """Train a stack of users; yields each one's result when it is done, charged an equal part of the time.

        After each step it yields the share of the stack's work that is done.

        Where the device has too little memory, the users that are not done are trained in two halves.
        """
        started_s = time.perf_counter()
        waiting = {user.user_key: user for user in users}
        too_large = False
        try:
            for event in self._fit_stack(users):
                if isinstance(event, float):
                    yield event
                    continue
                user, fit = event
                seconds = (time.perf_counter() - started_s) / len(users)
                with self.stages("gate"):
                    result = replace(self._result(user, fit), seconds=seconds)
                yield result
                del waiting[user.user_key]
        except (StorageError, GeneratorExit):
            raise
        except torch.OutOfMemoryError:
            too_large = len(waiting) > 1
        except Exception:
            # an error must not stop other users than the one that it belongs to
            log.exception("a stack of %d users broke; its unfinished users are trained one by one", len(users))
        if too_large:
            torch.cuda.empty_cache()
            half = (len(waiting) + 1) // 2
            rest = list(waiting.values())
            yield from self.adapt(rest[:half])
            yield from self.adapt(rest[half:])
            return
        for user in waiting.values():
            started_s = time.perf_counter()
            result = self._adapt_alone(user)
            yield replace(result, seconds=time.perf_counter() - started_s)

    def _fit_stack(self, users: Sequence[EncodedUser]) -> Iterator[tuple[EncodedUser, AdapterFit | str] | float]:
        with self.stages("train"):
            speeches = [speech_of(self.base, user, self.adapt_config, self.device) for user in users]
            stored = [
                StoredSpeech(
                    user.encodings, s.tokens, s.transcripts, s.parts, user_seed(user.user_key, self.adapt_config)
                )
                for user, s in zip(users, speeches, strict=True)
            ]
            adapters = [self._fresh_adapter(user) for user in users]
            stack = StackedTraining(
                self.base.model, adapters, stored, self.base.vocabulary, self.adapt_config, self.config.after_layer
            ).steps()
        while True:
            with self.stages("train"):
                done = next(stack, None)
            if done is None:
                return
            yield done if isinstance(done, float) else (users[done[0]], done[1])

    def _adapt_alone(self, user: EncodedUser) -> CohortResult:
        try:
            fit: AdapterFit | str = fit_adapter(
                self.base.model,
                self._fresh_adapter(user),
                speech_of(self.base, user, self.adapt_config, self.device),
                self.base.vocabulary,
                self.adapt_config,
                seed=self._seed(user),
                after_layer=self.config.after_layer,
            )
            return self._result(user, fit)
        except StorageError:
            raise
        except torch.OutOfMemoryError:
            log.warning("%s: %s", shown_user(user.user_key), TOO_LARGE)
            return self._result(user, TOO_LARGE)
        except Exception as error:
            log.exception("%s: training failed", shown_user(user.user_key))
            return self._result(user, f"{type(error).__name__}: {error}")

    def _result(self, user: EncodedUser, fit: AdapterFit | str) -> CohortResult:
        result = CohortResult(user.user_key, 0.0, len(user.encodings), user.dropped)
        if isinstance(fit, str):
            return replace(result, failed=True, reason=fit)
        metric = self.adapt_config.gate_metric
        current_error = self._current_error(user, fit)
        reason = gate(fit, current_error, metric)
        return replace(result, fit=fit, better=not reason, reason=reason, current_error=current_error)

    def _current_error(self, user: EncodedUser, fit: AdapterFit) -> float | None:
        """The held-out error of the adapter that the user has; None without one."""
        current = self.open_current(user.user_key)
        if current is None:
            return None
        metric = self.adapt_config.gate_metric
        speech = speech_of(self.base, user, self.adapt_config, self.device)
        rule = split_rule(len(user.encodings), self.adapt_config)
        if rule == CROSS_VALIDATED or current.split not in ("", rule):
            # it may have learned from tonight's held-out speech, so the error ratio of its own gate counts
            return current.error_ratio * fit.score_before.rate(metric)
        evaluation = evaluate_adapter(
            self.base.model,
            current.adapter.to(self.device),
            speech,
            self.base.vocabulary,
            self.adapt_config,
            self.config.after_layer,
        )
        return evaluation.score.rate(metric)

    def _seed(self, user: EncodedUser) -> int:
        return user_seed(user.user_key, self.adapt_config)

    def _fresh_adapter(self, user: EncodedUser) -> Adapter:
        torch.manual_seed(self._seed(user))
        dim = self.base.model.encoding_dim(self.config.after_layer)
        return build_adapter(dim, self.config).to(self.device)
