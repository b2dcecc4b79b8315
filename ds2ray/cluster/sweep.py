"""The trials of a sweep. The users' speech is encoded once for each place of an adapter; the trials share the encodings
in Ray's object store, and the processes that are running already: none is started for a trial."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayError

from ds2ray.cluster.gpus import cluster_gpus
from ds2ray.cluster.progress import our_error, told
from ds2ray.config import AdaptConfig, DataConfig, SweepJob
from ds2ray.errors import InputError, InterruptedRunError, StorageError
from ds2ray.fleet.sweep.points import SweepPoint
from ds2ray.fleet.sweep.results import TrialResult
from ds2ray.model.devices import assigned_device
from ds2ray.model.weights import Base
from ds2ray.storage import Server, current_server, known_to_answer, using
from ds2ray.store import user_key
from ds2ray.store.keys import is_private, keep_private, private
from ds2ray.tables.manifest import Manifest, Utterance
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.speech import UserSpeech, encode_users
from ds2ray.training.adapters.sweep_trial import try_point

log = logging.getLogger(__name__)

Named = Mapping[str, SweepPoint]
"""Points with the epochs of their trials, by the trials' ids."""


class SweepTrials:
    """Runs trials of a sweep on the connected cluster."""

    def __init__(self, job: SweepJob, base: Base, users: Sequence[Manifest]) -> None:
        gpus = job.adapt.gpus_per_trial if cluster_gpus() > 0 else 0.0
        # Ray would end a process after each task with a GPU, and start another one, which takes seconds
        size: dict[str, Any] = {"num_cpus": job.adapt.cpus_per_trial, "num_gpus": gpus, "max_calls": 0}
        size["max_retries"] = job.adapt.max_attempts - 1  # of a trial whose process dies
        self._encode = ray.remote(**size)(_encode)
        self._try = ray.remote(**size)(_try)
        self.job, self.base_ref = job, ray.put(base)
        # the keys are made here: a worker needs no salt
        self.speech = {user_key(user.user_id): user.utterances for user in users}
        self.encoded: dict[int, Any] = {}  # the users' encoded speech by place

    def results(self, trials: Named) -> Iterator[TrialResult]:
        """Run trials; yields the result of each when it is done, which may be that it failed.

        Raises:
            InputError: no user has enough usable speech.
            StorageError: the users' speech cannot be read.
        """
        most = self.job.adapt.max_concurrent_trials or len(trials)
        # those that take longest come first, so that none of them is left when all others are done
        waiting = sorted(trials, key=lambda name: -trials[name].adapt.num_epochs)
        running: dict[Any, str] = {}
        try:
            while waiting or running:
                while waiting and len(running) < most:
                    name = waiting.pop(0)
                    running[self._start(name, trials[name])] = name
                (done, *_), _ = ray.wait(list(running), num_returns=1)
                name = running.pop(done)
                yield self._result(done, name, trials[name])
        finally:
            for ref in running:
                ray.cancel(ref, force=True)

    def _start(self, trial_id: str, point: SweepPoint) -> Any:
        place, adapt = point.adapter.after_layer, self.job.adapt
        if place not in self.encoded:
            self.encoded[place] = self._encode.remote(
                self.base_ref, self.speech, place, adapt, self.job.data, current_server(), is_private()
            )
        return self._try.remote(self.base_ref, self.encoded[place], point, trial_id, is_private())

    def _result(self, ref: Any, trial_id: str, point: SweepPoint) -> TrialResult:
        try:
            result: TrialResult = ray.get(ref)
        except RayError as error:
            cause = our_error(error)
            if isinstance(cause, StorageError | InterruptedRunError | InputError):
                raise cause from None
            reason = private(told(error))
            result = TrialResult(
                trial_id=trial_id, settings=point.settings(), num_parameters=0, seconds=0.0, users=(), reason=reason
            )
        return result


def _encode(
    base: Base,
    users: Mapping[str, Sequence[Utterance]],
    after_layer: int,
    adapt: AdaptConfig,
    data: DataConfig,
    outside: Server,
    is_private_job: bool,
) -> list[UserSpeech]:
    """The encoded speech of these users, by their keys. Raises InputError where none has enough."""
    known_to_answer(outside)
    keep_private(is_private_job)
    encoder = Encoder(
        base,
        after_layer,
        adapt.encode_batch_s,
        device=assigned_device(len(ray.get_gpu_ids())),
        precision=adapt.precision,
        max_duration_s=data.max_duration_s,
        segment_long=data.segment_long,
    )
    with using(outside):
        speeches = encode_users(encoder, users, adapt)
    for speech in speeches:
        if not speech.parts:
            log.warning("%s is left out: too few usable utterances", speech.user_key)
    enough = [speech for speech in speeches if speech.parts]
    if not enough:
        raise InputError("no user of the sample has enough usable speech; the reasons are above")
    # on the CPU, so that trials on any device can read them from shared memory
    return [replace(speech, frames=[rows.cpu() for rows in speech.frames]) for speech in enough]


def _try(
    base: Base, speeches: Sequence[UserSpeech], point: SweepPoint, trial_id: str, is_private_job: bool
) -> TrialResult:
    """A trial, on the shared encodings."""
    keep_private(is_private_job)
    return try_point(base, speeches, point, trial_id, assigned_device(len(ray.get_gpu_ids())))
