"""jobs/adapt_users.py: plan, train what is new or changed on Ray Tune, publish, and report each user's outcome.

Ray and torch are imported only when there is something to train: a plan, or a night without changes, needs neither.
"""

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from ds2ray import display, storage
from ds2ray.commands.wanted import MODEL_FILE_SUFFIX, BaseSettings, require_model_file, require_place
from ds2ray.config import AdaptJob
from ds2ray.errors import ConfigError, Ds2RayError, InterruptedRunError
from ds2ray.fleet.cohorts import CohortSize, Room, cohort_size, speech_bytes_per_s
from ds2ray.fleet.plan import Change, Plan, cohorts_of, plan_run, plan_table
from ds2ray.fleet.report import exit_code, outcome_table, plan_text, repacked_text, summarise
from ds2ray.fleet.settling import SETTLED_PART, CohortStarts, settle
from ds2ray.naming import typed
from ds2ray.progress import Tell, duration_text, paced, untold
from ds2ray.store import BaseRecord, Store, lease, read_base_record, server_outside
from ds2ray.store.index import close_run, open_run, read_fingerprints, recover_runs
from ds2ray.store.layout import plan_uri, run_uri, summary_uri
from ds2ray.store.outcomes import Outcome, read_outcomes, write_part
from ds2ray.tables.problems import ProblemKind
from ds2ray.tables.users import read_fleet, stat_audio, usable_users
from ds2ray.tables.validation import refuse


def run(job: AdaptJob) -> int:
    """Adapt every new or changed user; returns 0, or 3 where more users failed than `adapt.max_failed_ratio` accepts.

    Raises:
        ConfigError, InputError: wrong settings, table or base; nothing was started.
        InterruptedRunError: another run is at work on the store.
        KeyboardInterrupt: the run was asked to stop; what is finished is published and in the index.
        StorageError: the store failed; running again does what is unfinished.
    """
    with storage.using(server_outside(job.data, job.storage)):
        return _adapt(job, Store.of(job.storage))


def _adapt(job: AdaptJob, store: Store) -> int:
    if not job.users:
        raise ConfigError(f"users is missing: give a table `user_id,manifest`: {typed('adapt_users')} users.csv")
    run_id = job.run_id or f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    if job.run_id and store.exists(plan_uri(store, run_id)):
        raise ConfigError(f"run_id={run_id}: {store} has a run of this name; give another one, or leave it empty")
    display.doing("reading the base")
    record = base_record(job, store)
    if job.dry_run:
        display.say(plan_text(make_plan(job, store, record, display.telling("planning")), job.users, store.root_uri))
        return 0
    started_s = time.monotonic()
    with lease.held(store, run_id) as keep_alive:
        for recovered in recover_runs(store):
            display.say(f"took over the outcomes of run {recovered}, which had not come to its end")
        stay_alive = paced(lambda line: keep_alive())  # planning may take longer than a lease lasts

        def tell(line: str) -> None:
            display.doing("planning", line)
            stay_alive(line)

        plan = make_plan(job, store, record, tell)
        display.say(plan_text(plan, job.users, store.root_uri))
        stopped: BaseException | None = None
        starts: Mapping[int, CohortStarts] = {}
        with ExitStack() as cluster:
            if plan.cohorts:
                from ds2ray.cluster.session import connected, room_for_trials  # imports Ray

                cluster.enter_context(connected(job.cluster))
                # the plan assumed a cluster of this machine's size
                room = room_for_trials(job.adapt.cpus_per_trial, job.adapt.gpus_per_trial)
                packed = cohorts_of(plan.users, size_of_cohorts(job, record, room))
                if len(packed) != len(plan.cohorts):
                    display.say(f"  {repacked_text(packed, plan, room)}")
                plan = replace(plan, cohorts=packed)
            open_run(store, run_id)
            store.write_table(plan_uri(store, run_id), plan_table(plan))
            try:
                if plan.cohorts:
                    from ds2ray.cluster.fleet import train_cohorts  # imports torch

                    starts = train_cohorts(job, store, plan, run_id, record, keep_alive)
            except BaseException as error:
                stopped = error
                raise
            finally:
                # also when the run is stopped: what is finished counts
                cluster.close()
                display.doing("writing outcomes")
                trained = read_outcomes(store, run_id)
                least = job.adapt.min_utterances
                rows = settle(plan, trained, starts, finished=stopped is None, min_utterances=least)
                write_part(store, run_id, SETTLED_PART, rows, plan.unchanged)
                close_run(store, run_id, rows)
                num_unchanged = plan.count(Change.unchanged)
                code = exit_code(rows, job.adapt.max_failed_ratio, num_unchanged)
                code = code if stopped is None else _exit_code_of(stopped)
                summary = summarise(
                    rows,
                    run_id=run_id,
                    base_fingerprint=record.fingerprint,
                    seconds=time.monotonic() - started_s,
                    max_failed_ratio=job.adapt.max_failed_ratio,
                    interrupted=stopped is not None,
                    unchanged=plan.unchanged,
                )
                store.write_json(summary_uri(store, run_id), {**summary, "exit_code": code})
                _print_outcomes(rows, plan, run_uri(store, run_id), summary["seconds"])
    return code


def base_record(job: AdaptJob, store: Store) -> BaseRecord:
    """The base to adapt to; that of a model.pt is published in the store first, so that recognition finds it.

    Raises:
        ConfigError: the base has no place for the adapter.
        InputError: there is no such base, or it comes from a newer release.
    """
    if not job.base.endswith(MODEL_FILE_SUFFIX):
        record = read_base_record(store, job.base)
        require_place(job.adapter, BaseSettings.of(record).shape)
        return record
    require_model_file(job.base)
    read_fleet(job.users, job.data)  # what is wrong with the table is told before torch is imported
    from ds2ray.model.files import load_model_file
    from ds2ray.model.stored import describe_base, publish_base

    base = load_model_file(job.base)
    require_place(job.adapter, base.model.shape)
    if not job.dry_run:
        publish_base(store, base, run_id=job.base, metrics={})
    return describe_base(base, run_id=job.base)


def make_plan(job: AdaptJob, store: Store, record: BaseRecord, tell: Tell = untold) -> Plan:
    """Read and check the users and compare them with the index.

    Of a sealed user only the row is read: a plan costs a few requests, however many sealed users there are.
    """
    fleet = read_fleet(job.users, job.data, tell)
    objects = stat_audio(fleet.users, tell)
    base = BaseSettings.of(record)
    users = usable_users(
        fleet.users,
        data=job.data,
        shape=base.shape,
        vocabulary=base.vocabulary,
        objects=objects,
        tell=tell,
    )
    # unreadable rows concern their user only; unusable audio stops the run where data.bad_audio says so
    refuse((p for user in users for p in user.problems if p.kind is not ProblemKind.row), job.data, job.users)
    return plan_run(
        replace(fleet, users=users),
        read_fingerprints(store),
        objects,
        base_fingerprint=record.fingerprint,
        adapter=job.adapter,
        adapt=job.adapt,
        data=job.data,
        size=size_of_cohorts(job, record, Room(trials=os.cpu_count() or 1)),
    )


def size_of_cohorts(job: AdaptJob, record: BaseRecord, room: Room) -> CohortSize:
    """The size of cohorts that suits settings, base and cluster."""
    return cohort_size(job.adapt, room, speech_bytes_per_s(BaseSettings.of(record).shape, job.adapter.after_layer))


def _exit_code_of(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return InterruptedRunError.exit_code
    return error.exit_code if isinstance(error, Ds2RayError) else 1


def _print_outcomes(rows: Sequence[Outcome], plan: Plan, run_folder: str, seconds: float) -> None:
    if rows:
        display.show(partial(outcome_table, rows))
    elif not plan.users:
        display.say(f"all {plan.num_users} users unchanged: nothing to do")
    left = len(plan.users) - len(rows)
    word = f"stopped with {left} of {plan.num_users} users to do, run again;" if left else "done in"
    display.say(f"{word} {duration_text(seconds)}: {run_folder}")
