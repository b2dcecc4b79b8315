"""A cohort: many users' adapters against one frozen base, from speech that is encoded once.

Nothing here knows of Ray or of the store: users go in, results come out one by one.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch

from ds2ray.config import AdaptConfig, AdapterConfig
from ds2ray.decoding.decoder import Decoder
from ds2ray.decoding.greedy import Greedy
from ds2ray.errors import DeviceLostError, InterruptedRunError, StorageError
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.model.devices import is_device_lost
from ds2ray.model.weights import Base
from ds2ray.store.keys import is_private
from ds2ray.training.adapters.anchor import Anchor
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.judging.gate import CurrentAdapter, gate, improvement
from ds2ray.training.adapters.judging.held_out import evaluate_adapter
from ds2ray.training.adapters.judging.results import AdapterFit, Judged
from ds2ray.training.adapters.judging.split import CROSS_VALIDATED, split_rule
from ds2ray.training.adapters.listening import Listener, with_heard
from ds2ray.training.adapters.progress import (
    CohortProgress,
    Stage,
    StageClock,
    encoding_progress,
    told,
    training_progress,
)
from ds2ray.training.adapters.returning import goes_on
from ds2ray.training.adapters.speech import Users, UserSpeech, encoding_of_users
from ds2ray.training.adapters.stack.learners import fresh_adapter
from ds2ray.training.adapters.stack.stacked import StackedTraining, stacks

log = logging.getLogger(__name__)

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
        improvement: the probability that the adapter improves on the base and on the current adapter, the lower of the
            two.
        dropped: unusable utterances, by reason.
        num_heard: utterances without a transcript of which something was learned from.
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
    improvement: float | None = None
    num_heard: int = 0


def adapt_cohort(
    base: Base,
    users: Users,
    adapter: AdapterConfig,
    adapt: AdaptConfig,
    *,
    open_current: OpenCurrent = lambda user_key: None,
    device: torch.device | str = "cpu",
    max_duration_s: float = math.inf,
    segment_long: bool = False,
    decoder: Decoder = Greedy(),
    stages: StageClock | None = None,
    anchor: Anchor | None = None,
    listener: Listener | None = None,
) -> Iterator[CohortResult | CohortProgress]:
    """Encode the speech of all users, then train their adapters; yields each user's result when it is done.

    The cohort's progress comes in between, after each call of the trunk and each step of a stack. A user whose speech
    cannot be used, or whose training fails, is a result like any other. On a CPU a user's adapter has the same bytes
    in any company; on a GPU, where users share products, it is the same within floating-point tolerance.

    Args:
        open_current: opens the adapter that a user has.
        max_duration_s: longer utterances are dropped, whatever their manifest says …
        segment_long: … or cut into segments where the base can align their transcripts.
        decoder: of the judges, whose errors the gate compares.
        stages: is told where the time goes.
        anchor: ordinary speech of this base at the adapters' place, on the device.
        listener: recognises utterances without a transcript, by the adapter that the user has; None: there are none.
    """
    stages = stages or StageClock()
    base.model.freeze_base_model()
    started_s = time.perf_counter()
    batch_s, longest_s = adapt.encode_batch_s, max_duration_s
    encoder = Encoder(base, adapter.after_layer, batch_s, device, adapt.precision, longest_s, stages, segment_long)
    num_utterances = sum(map(len, users.values()))
    yield CohortProgress(Stage.encoding, 0, 0.0)
    encoding = encoding_of_users(encoder, users, adapt)
    speeches = yield from told(encoding, lambda done: encoding_progress(done, num_utterances))
    # encoding is shared work: each user is charged an equal part of it
    share_s = (time.perf_counter() - started_s) / max(1, len(users))
    training = _CohortTraining(base, adapter, adapt, open_current, torch.device(device), decoder, stages, anchor)
    speeches = [training.listened(speech, listener) for speech in speeches]
    enough = [speech for speech in speeches if speech.parts]
    for speech in speeches:
        if not speech.parts:
            yield replace(_too_few(speech, adapt.min_utterances), seconds=share_s)
    done = 0
    for stack in stacks(base.model, enough, device, adapt.batch_size):
        for event in training.adapt(stack):
            if isinstance(event, CohortResult):
                yield replace(event, seconds=share_s + event.seconds)
            else:
                yield training_progress((done + event * len(stack)) / len(enough), num_utterances)
        for speech in stack:
            speech.frames.clear()  # the memory is for the next stack
        done += len(stack)


def results_of(events: Iterable[CohortResult | CohortProgress]) -> Iterator[CohortResult]:
    """The results among the events of a cohort."""
    return (event for event in events if isinstance(event, CohortResult))


def _too_few(speech: UserSpeech, least: int) -> CohortResult:
    with_transcripts = " with transcripts" if speech.untranscribed else ""
    reason = f"{len(speech.transcripts)} usable utterances{with_transcripts}, at least {least} are needed"
    causes = "; ".join(f"{count} × {cause}" for cause, count in speech.dropped.items())
    reason = f"{reason} ({causes})" if causes else reason
    return CohortResult(speech.user_key, 0.0, len(speech.transcripts), speech.dropped, reason=reason)


@dataclass(frozen=True)
class _CohortTraining:
    """Trains users of a cohort, as a stack or, where a stack breaks, one by one."""

    base: Base
    config: AdapterConfig
    adapt_config: AdaptConfig
    open_current: OpenCurrent
    device: torch.device
    decoder: Decoder
    stages: StageClock
    anchor: Anchor | None = None

    def listened(self, speech: UserSpeech, listener: Listener | None) -> UserSpeech:
        """The speech with what is heard in utterances without a transcript."""
        if listener is None or not speech.untranscribed or not speech.parts:
            return speech
        with self.stages("listen"):
            current = self.open_current(speech.user_key)
            adapter = current.adapter.to(self.device).eval() if current else None
            return with_heard(speech, listener, self.base, adapter, self.config.after_layer, self.device)

    def adapt(self, speeches: Sequence[UserSpeech]) -> Iterator[CohortResult | float]:
        """Train a stack of users; yields each one's result when it is done, charged an equal part of the time.

        After each step it yields the share of the stack's work that is done.

        Where the device has too little memory, the users that are not done are trained in two halves; where anything
        else breaks the stack, one by one, as an error must not stop other users than the one that it belongs to.
        """
        started_s = time.perf_counter()
        waiting = {speech.user_key: speech for speech in speeches}
        broken: Exception | None = None
        try:
            for event in self._fit(speeches):
                if isinstance(event, float):
                    yield event
                    continue
                speech, fit, current = event
                seconds = (time.perf_counter() - started_s) / len(speeches)
                with self.stages("gate"):
                    result = replace(self._result(speech, fit, current), seconds=seconds)
                yield result
                del waiting[speech.user_key]
        except (StorageError, InterruptedRunError, GeneratorExit):
            raise
        except Exception as error:
            if is_device_lost(error):  # all users that follow would fail, too
                raise DeviceLostError(f"the device is lost: {type(error).__name__}: {error}") from error
            who = speeches[0].user_key if len(speeches) == 1 else f"a stack of {len(speeches)} users"
            # a traceback may hold anything, a transcript, too
            log.warning("training of %s broke off", who, exc_info=not (_is_too_large(error) or is_private()))
            broken = error.with_traceback(None)  # the frames that it names hold the stack's memory
        if broken is None:
            return
        rest = list(waiting.values())
        if len(speeches) == 1:
            said = type(broken).__name__ if is_private() else f"{type(broken).__name__}: {broken}"
            reason = TOO_LARGE if _is_too_large(broken) else said
            yield replace(self._result(speeches[0], reason), seconds=time.perf_counter() - started_s)
            return
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        size = (len(rest) + 1) // 2 if _is_too_large(broken) else 1
        for start in range(0, len(rest), size):
            yield from self.adapt(rest[start : start + size])

    def _fit(
        self, speeches: Sequence[UserSpeech]
    ) -> Iterator[tuple[UserSpeech, AdapterFit | str, CurrentAdapter | None] | float]:
        """The steps of a stack, with the time that they take charged to training; each user's result with the adapter
        that the user has."""
        with self.stages("gate"):
            currents = [self.open_current(speech.user_key) for speech in speeches]
        with self.stages("train"):
            model, after_layer = self.base.model, self.config.after_layer
            adapters: list[Adapter] = []
            returning: list[int] = []
            for user, (speech, current) in enumerate(zip(speeches, currents, strict=True)):
                fresh = fresh_adapter(model, self.config, speech.seed, self.device)
                if current is not None and goes_on(current, fresh, speech, self.adapt_config):
                    fresh.load_state_dict(current.adapter.state_dict())
                    returning.append(user)
                adapters.append(fresh)
            steps = StackedTraining(
                model,
                adapters,
                speeches,
                self.base.vocabulary,
                self.adapt_config,
                after_layer,
                decoder=self.decoder,
                returning=returning,
                anchor=self.anchor,
            ).steps()
        while True:
            with self.stages("train"):
                done = next(steps, None)
            if done is None:
                return
            yield done if isinstance(done, float) else (speeches[done[0]], done[1], currents[done[0]])

    def _result(self, speech: UserSpeech, fit: AdapterFit | str, current: CurrentAdapter | None = None) -> CohortResult:
        result = CohortResult(speech.user_key, 0.0, len(speech.transcripts), speech.dropped, num_heard=speech.num_heard)
        if isinstance(fit, str):
            return replace(result, failed=True, reason=fit)
        config = self.adapt_config
        metric = config.gate_metric
        current_error, judged = self._current(speech, fit, current)
        reason = gate(fit, current_error, metric, config.gate_confidence, config.max_anchor_rise, judged)
        result = replace(result, improvement=improvement(fit, metric, judged))
        return replace(result, fit=fit, better=not reason, reason=reason, current_error=current_error)

    def _current(
        self, speech: UserSpeech, fit: AdapterFit, current: CurrentAdapter | None
    ) -> tuple[float | None, Sequence[Judged]]:
        """The held-out error of the adapter that the user has, None without one, and each held-out utterance with it,
        none where it may have learned from some."""
        if current is None:
            return None, ()
        metric = self.adapt_config.gate_metric
        if fit.score_start is not None:
            return fit.score_start.rate(metric), fit.judged_start
        rule = split_rule(len(speech.transcripts), self.adapt_config)
        if rule == CROSS_VALIDATED or current.split not in ("", rule):
            # it may have learned from tonight's held-out speech, so the error ratio of its own gate counts
            return current.error_ratio * fit.score_before.rate(metric), ()
        evaluation = evaluate_adapter(
            self.base.model,
            current.adapter.to(self.device),
            speech,
            self.base.vocabulary,
            self.adapt_config,
            self.config.after_layer,
            self.decoder,
        )
        return evaluation.score.rate(metric), evaluation.utterances


def _is_too_large(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError)
