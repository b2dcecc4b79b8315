"""The Tune driver of a fleet run: one trial per cohort, on actors that are used again."""

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import ray
from ray import tune

from ds2ray.cluster.cohort_queue import CohortByCohort, ForgetfulScheduler, NoTrialProgress
from ds2ray.cluster.cohort_trial import CohortTrial
from ds2ray.cluster.gpus import cluster_gpus
from ds2ray.cluster.progress import FleetProgress, our_error, told
from ds2ray.cluster.session import quiet_tune, room_for_trials
from ds2ray.config import AdapterConfig, AdaptJob, audio_from_plain, model_from_plain
from ds2ray.errors import InterruptedRunError, StorageError
from ds2ray.fleet.cohort_task import FleetTask
from ds2ray.fleet.common_cause import FirstUsers
from ds2ray.fleet.plan import Plan
from ds2ray.fleet.settling import CohortStarts
from ds2ray.fleet.tally import Tally
from ds2ray.fleet.trained import TrainedUser
from ds2ray.nights.machines import training_by_encoding
from ds2ray.nights.spent import CANARY, TRAINING, Spent
from ds2ray.shapes.architectures import shape_of
from ds2ray.storage import current_server
from ds2ray.store import BaseRecord, Store
from ds2ray.store.keys import is_private
from ds2ray.tables.manifest import Utterance

MIN_SLICE_S, MAX_SLICE_S = 1.0, 5.0
"""Shortest and longest seconds from one report of a trial, and its part of outcomes, to the next."""

REPORTS_PER_S = 20
"""Reports per second of all trials together: each costs the driver milliseconds."""


def train_cohorts(
    job: AdaptJob,
    store: Store,
    plan: Plan,
    run_id: str,
    record: BaseRecord,
    weights: bytes,
    keep_alive: Callable[[], None],
    trial: type[CohortTrial] = CohortTrial,
    anchor: Sequence[Utterance] = (),
    held_back: dict[str, TrainedUser] | None = None,
    spent: Spent | None = None,
) -> Mapping[int, CohortStarts]:
    """Train every cohort of the plan on the connected cluster; trials publish adapters and write outcomes themselves.

    Args:
        weights: the base's, as the store has them.
        keep_alive: called every half minute.
        trial: class of the trials.
        anchor: ordinary speech that all adapters are held to the base on.
        held_back: takes up, by key, what was trained, and then trials neither publish nor write.
        spent: takes up what trials ask of servers.

    Returns:
        starts and last error of each cohort that was started again or given up.

    Raises:
        StorageError: a trial could not reach the store.
        InterruptedRunError: a trial found that the run has lost its lease.
        Ds2RayError: the first users all failed by it.
    """
    trials_at_once = room_for_trials(job.adapt.cpus_per_trial, job.adapt.gpus_per_trial).trials
    most = job.adapt.max_concurrent_trials or trials_at_once
    with quiet_tune(trials_at_once=trials_at_once):
        gpus = job.adapt.gpus_per_trial if cluster_gpus() > 0 else 0.0
        task = FleetTask(
            run_id=run_id,
            store=store,
            outside=current_server(),
            base_record=record,
            # as an array the weights are read from shared memory, not copied to each trial's message
            base_weights=ray.put(np.frombuffer(weights, dtype=np.uint8)),
            adapter=job.adapter,
            adapt=job.adapt,
            data=job.data,
            gpus_per_trial=gpus,
            slice_s=slice_of(trials_at_once),
            private=is_private(),
            anchor=anchor,
            hold_back=held_back is not None,
            # all at once: they are no larger than the plan, and Ray moves what does not fit its shared memory to disk
            cohorts=[ray.put([plan.users[number] for number in cohort]) for cohort in plan.cohorts],
        )
        trainable = tune.with_resources(
            tune.with_parameters(trial, task=task), {"cpu": job.adapt.cpus_per_trial, "gpu": gpus}
        )
        # Tune's own state is a cache: only published adapters and written outcomes count
        tune_state_dir = tempfile.mkdtemp(prefix="ds2ray-adapt-")
        stage, title = (TRAINING, "") if held_back is None else (CANARY, "canary: ")
        tally = tally_of(plan, min(most, trials_at_once), title)
        tally.train_by_encode = training_by_encoding(job.adapt.num_epochs, _has_head(record, job.adapter))
        first_users = FirstUsers(job.adapt.stop_after_failures, list(map(len, plan.cohorts)))
        progress = FleetProgress(tally, keep_alive, job.adapt.max_attempts, first_users, held_back, spent, stage)
        try:
            tune.Tuner(
                trainable,
                tune_config=tune.TuneConfig(
                    search_alg=CohortByCohort(),
                    num_samples=len(plan.cohorts),
                    scheduler=ForgetfulScheduler(),
                    max_concurrent_trials=job.adapt.max_concurrent_trials or None,
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    name=run_id,
                    storage_path=tune_state_dir,
                    # outcomes are the checkpoints: a trial that starts again skips the users that have one
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    failure_config=tune.FailureConfig(max_failures=job.adapt.max_attempts - 1),
                    callbacks=[progress, NoTrialProgress()],
                    verbose=0,
                ),
            ).fit()
        finally:
            shutil.rmtree(tune_state_dir, ignore_errors=True)
        for error in progress.errors.values():
            cause = our_error(error)
            if isinstance(cause, StorageError | InterruptedRunError):
                raise cause
    return {
        cohort: CohortStarts(1 + progress.recoveries[cohort], told(progress.errors.get(cohort)))
        for cohort in {*progress.recoveries, *progress.errors}
    }


def _has_head(record: BaseRecord, adapter: AdapterConfig) -> bool:
    """Whether layers of the base follow the adapter."""
    shape = shape_of(model_from_plain(record.model, record.where), audio_from_plain(record.audio, record.where))
    return shape.place(adapter.after_layer) < shape.num_stages


def tally_of(plan: Plan, at_once: int, title: str = "") -> Tally:
    """The tally of a run at its beginning, with all cohorts of the plan still to do.

    Args:
        at_once: trials that work at the same time.
        title: what stands before the stage.
    """
    cohorts = [[plan.users[number] for number in cohort] for cohort in plan.cohorts]
    return Tally(
        num_users=sum(map(len, cohorts)),
        num_utterances=sum(user.num_utterances for cohort in cohorts for user in cohort),
        speech_s=[sum(user.speech_s for user in cohort) for cohort in cohorts],
        started_s=time.monotonic(),
        title=title,
        at_once=at_once,
    )


def slice_of(trials_at_once: int) -> float:
    """Seconds between two reports of a trial."""
    return min(MAX_SLICE_S, max(MIN_SLICE_S, trials_at_once / REPORTS_PER_S))
