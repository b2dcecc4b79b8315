"""The work of a trial: its cohort's users are read, trained, judged and published, and their outcomes written."""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import ray
import torch

from ds2ray import storage
from ds2ray.config import adapter_to_plain
from ds2ray.errors import ArtifactCorruptError, BaseMismatchError, NewerReleaseError
from ds2ray.fleet.attempts import name_user, named_user
from ds2ray.fleet.cohort_task import CohortStart, FleetTask
from ds2ray.fleet.common_cause import causes
from ds2ray.fleet.plan import UserPlan
from ds2ray.fleet.sealed import open_sealed
from ds2ray.fleet.settling import is_unusable
from ds2ray.fleet.trained import TrainedUser, taken_out
from ds2ray.model.devices import assigned_device
from ds2ray.model.stored import base_from_bytes, open_adapter
from ds2ray.model.weights import to_bytes
from ds2ray.store import AdapterPointer, outcomes, read_pointer
from ds2ray.store.keys import keep_private, private
from ds2ray.store.outcomes import Outcome, Status
from ds2ray.store.recovery.marks import PlannedUser
from ds2ray.store.recovery.published import published_outcome
from ds2ray.tables.problems import listed
from ds2ray.training.adapters.anchor import Anchor, encode_anchor
from ds2ray.training.adapters.cohort import CohortResult, adapt_cohort
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.judging.gate import CurrentAdapter
from ds2ray.training.adapters.judging.split import split_rule
from ds2ray.training.adapters.listening import Listener
from ds2ray.training.adapters.progress import CohortProgress, Stage

log = logging.getLogger(__name__)

NOT_BEGUN = CohortProgress(Stage.starting, 0, 0.0)


class CohortWork:
    """Works on one cohort after the other with the same base, a slice of time after another."""

    progress: CohortProgress
    events: Iterator[Outcome | CohortProgress]

    def __init__(self, task: FleetTask) -> None:
        self.task = task
        keep_private(task.private)
        self.device = assigned_device(task.gpus_per_trial)
        if self.device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(min(1.0, task.gpus_per_trial))
        self.base = base_from_bytes(task.base_record, ray.get(task.base_weights).tobytes(), self.device)

    @cached_property
    def anchor(self) -> Anchor | None:
        """The anchor, encoded for the first cohort and kept for all that follow."""
        task = self.task
        if not task.anchor:
            return None
        batch_s, longest_s = task.adapt.encode_batch_s, task.data.max_duration_s
        encoder = Encoder(self.base, task.adapter.after_layer, batch_s, self.device, task.adapt.precision, longest_s)
        return encode_anchor(self.base, task.anchor, encoder, task.adapt)

    @cached_property
    def listener(self) -> Listener | None:
        """What recognises speech without transcripts, where such speech is used."""
        task = self.task
        if not task.data.unlabelled:
            return None
        from ds2ray.recognition.opening import open_listener  # imports all of recognition

        return open_listener(task.store, self.base, task.adapt.unlabelled_confidence)

    def take_up(self, start: CohortStart) -> None:
        """Prepare for the cohort. The first slice does all that may fail: Tune does not repeat a failed reset."""
        self.start = start
        self.part = 0
        self.users: dict[str, UserPlan] = {}
        self.held_back: dict[str, TrainedUser] = {}
        self.spent_s = {True: 0.0, False: 0.0}  # by whether in training
        self.marked_s = time.monotonic()
        self.traffic = storage.traffic_so_far()
        self.progress = NOT_BEGUN
        self.events = self._events()

    def go_on(self) -> dict[str, Any]:
        """Work for a slice of time; returns the report of a trial, with the users that were finished."""
        started_s = time.monotonic()
        finished: list[Outcome] = []
        done, in_training = True, self.progress.stage is Stage.training
        for event in self.events:
            if isinstance(event, Outcome):
                finished.append(replace(event, reason=private(event.reason, *self._names(event.user_key))))
                urgent = bool(self.start.suspected)
            else:
                urgent = event.stage is not self.progress.stage
                self.progress = event
            # where a worker has died, what is finished is written before the next user may end this one, too
            if urgent or time.monotonic() - started_s >= self.task.slice_s:
                done = False
                break
        if finished and not self.task.hold_back:
            outcomes.write_part(self.task.store, self.task.run_id, self._part_name(), finished)
            self.part += 1
        progress, now_s = self.progress, time.monotonic()
        self.spent_s[in_training] += now_s - self.marked_s  # a slice ends with its stage
        self.marked_s = now_s
        before, self.traffic = self.traffic, storage.traffic_so_far()
        return {
            "causes": causes(finished),
            "statuses": dict(Counter(outcome.status.value for outcome in finished)),
            "stage": progress.stage.value,
            "encoded": progress.encoded,
            "share": 1.0 if done else progress.share,
            "prepared": 1.0 if done else progress.prepared,
            "trained": 1.0 if done else progress.trained,
            "prepared_s": self.spent_s[False],
            "trained_s": self.spent_s[True],
            "traffic": vars(self.traffic - before),
            "done": done,
            "held_back": taken_out(self.held_back, finished) if self.task.hold_back else [],
        }

    def results(self, users: Sequence[UserPlan]) -> Iterator[CohortResult | CohortProgress]:
        """Train these users together; yields progress, and each user's result when it is there."""
        return adapt_cohort(
            self.base,
            {user.user_key: user.utterances for user in users},
            self.task.adapter,
            self.task.adapt,
            open_current=self._current,
            device=self.device,
            max_duration_s=self.task.data.max_duration_s,
            segment_long=self.task.data.segment_long,
            anchor=self.anchor,
            listener=self.listener,
        )

    def _events(self) -> Iterator[Outcome | CohortProgress]:
        """Work on the cohort; users that an earlier attempt finished are not trained again."""
        store, run_id, start = self.task.store, self.task.run_id, self.start
        users: dict[str, UserPlan] = {user.user_key: user for user in ray.get(self.task.cohorts[start.cohort])}
        self.users = dict(users)
        if start.attempt > 1:
            yield from self._left_behind(users)
        yield replace(NOT_BEGUN, stage=Stage.reading)
        opened, unreadable = open_sealed(
            list(users.values()),
            data=self.task.data,
            shape=self.base.model.shape,
            vocabulary=self.base.vocabulary,
        )
        yield from unreadable
        if not start.suspected:
            yield from self._work_on(opened)
            return
        guilty = named_user(store, run_id, start.cohort, start.attempt - 1)
        for user in opened:
            if user.user_key == guilty:
                yield _ended_its_worker(user, start)
            else:
                name_user(store, run_id, start.cohort, start.attempt, user.user_key)
                yield from self._work_on([user])

    def _left_behind(self, users: dict[str, UserPlan]) -> Iterator[Outcome]:
        """Remove the users that an earlier attempt finished from `users`; yields the outcomes that it did not write."""
        while (part := outcomes.read_part(self.task.store, self.task.run_id, self._part_name())) is not None:
            for outcome in part:
                users.pop(outcome.user_key, None)
            self.part += 1
        for user in list(users.values()):
            try:
                pointer = read_pointer(self.task.store, user.user_key)
            except ArtifactCorruptError:
                continue  # publishing finds the damage again, and reports it
            if pointer is not None and pointer.run_id == self.task.run_id:
                user = users.pop(user.user_key)
                yield published_outcome(pointer, PlannedUser(user.num_utterances, user.num_dropped))

    def _work_on(self, users: Sequence[UserPlan]) -> Iterator[Outcome | CohortProgress]:
        user_of = {user.user_key: user for user in users}
        for event in self.results(users):
            yield self._settle(event, user_of[event.user_key]) if isinstance(event, CohortResult) else event

    def _names(self, user_key: str) -> Iterator[str]:
        """What tells who a user is, but for transcripts: the id, and where the speech lies."""
        user = self.users.get(user_key)
        if user is None:
            return
        yield user.user_id
        if user.row:
            yield user.row.manifest_uri
        yield from {utterance.audio for utterance in user.utterances if isinstance(utterance.audio, str)}
        yield from {utterance.utterance_id for utterance in user.utterances}

    def _part_name(self) -> str:
        return f"{self.start.cohort:06d}-{self.part:04d}"

    def _current(self, user_key: str) -> CurrentAdapter | None:
        """The user's current adapter, or None without one or with one that cannot be compared on the same encodings."""
        try:
            found = open_adapter(self.task.store, user_key, self.base)
        except (BaseMismatchError, ArtifactCorruptError, NewerReleaseError) as error:
            # such an adapter cannot be compared with; the new one replaces it if it is no worse than the base
            log.warning("%s", private(str(error)))
            return None
        if found is None:
            return None
        pointer, adapter = found
        layer_index = self.base.model.layer_index
        if layer_index(pointer.adapter["after_layer"]) != layer_index(self.task.adapter.after_layer):
            return None
        return CurrentAdapter(adapter, _error_ratio(pointer), pointer.split, pointer.num_utterances)

    def _settle(self, result: CohortResult, user: UserPlan) -> Outcome:
        """The user's outcome; an adapter that passed the gate is published, unless the task holds it back."""
        task = self.task
        metric = task.adapt.gate_metric
        before, after = result.fit.errors(metric) if result.fit else (None, None)
        anchor_before, anchor_after = result.fit.anchor_errors(metric) if result.fit else (None, None)
        weights, making = b"", {}
        if result.fit is not None and result.better:
            weights = to_bytes(result.fit.state)
            making = {
                "base_fingerprint": task.base_record.fingerprint,
                "data_fingerprint": user.fingerprint,
                "adapter": adapter_to_plain(task.adapter),
                "run_id": task.run_id,
                "error_before": before,
                "error_after": after,
                "split": split_rule(result.utterances_used, task.adapt),
                "num_utterances": result.utterances_used,
                "improvement": result.improvement,
                "anchor_error_before": anchor_before,
                "anchor_error_after": anchor_after,
            }
        # problems in the manifests of sealed users, which the plan did not read, are first reported here
        of_training = result.dropped if (task.data.segment_long or task.data.unlabelled) and result.fit else {}
        reasons = {**(user.reasons if user.row else {}), **of_training}
        num_dropped = user.num_dropped + sum(result.dropped.values())
        may_pass = any(storage.UNREACHED in reason for reason in (*result.dropped, *(user.reasons if user.row else ())))
        skipped = result.fit is None and not result.failed
        outcome = Outcome(
            user_key=result.user_key,
            status=_status(result),
            reason="; ".join(filter(None, [result.reason, f"left out: {listed(reasons)}" if reasons else ""])),
            attempts=1,
            seconds=result.seconds,
            utterances_used=result.utterances_used,
            utterances_dropped=num_dropped,
            error_before=before,
            error_after=after,
            fingerprint="" if may_pass else user.fingerprint,  # tried again, with what can be read then
            unusable=skipped and is_unusable(result.utterances_used, num_dropped, {}, task.adapt.min_utterances),
            improvement=result.improvement,
            error_current=result.current_error,
            anchor_error_before=anchor_before,
            anchor_error_after=anchor_after,
            utterances_heard=result.num_heard,
        )
        trained = TrainedUser(outcome, weights, making)
        if not task.hold_back:
            return trained.published(task.store)
        self.held_back[outcome.user_key] = trained
        return outcome


def _error_ratio(pointer: AdapterPointer) -> float:
    """The held-out error of an adapter when it was published, as a share of the base's."""
    if not pointer.error_before or pointer.error_after is None:
        return 1.0
    return pointer.error_after / pointer.error_before


def _ended_its_worker(user: UserPlan, start: CohortStart) -> Outcome:
    reason = f"its worker ended early again while at work on this user alone ({start.suspected}); see Ray's logs"
    return Outcome(
        user_key=user.user_key,
        status=Status.failed,
        reason=reason,
        utterances_dropped=user.num_dropped,
        fingerprint=user.fingerprint,
    )


def _status(result: CohortResult) -> Status:
    if result.failed:
        return Status.failed
    if result.fit is None:
        return Status.skipped_no_data
    return Status.adapted if result.better else Status.kept_previous
