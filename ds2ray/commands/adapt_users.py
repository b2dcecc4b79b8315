"""jobs/adapt_users.py: plan, train what is new or changed on Ray Tune, publish, and report each user's outcome.

Ray and torch are imported only when there is something to train: a plan, or a night without changes, needs neither.
"""

import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ds2ray import display, storage
from ds2ray.commands.adapting.canary import publish_sample, require_gains, try_first, wanted_sample
from ds2ray.commands.planning import make_plan, size_of_cohorts
from ds2ray.commands.reporting.ending import (
    keep_summary_here,
    previous_run,
    print_outcomes,
    told_of,
    write_log,
    write_report,
)
from ds2ray.commands.reporting.estimating import recent_runs, speech_to_train_s, tell_estimate
from ds2ray.commands.reporting.telling import announced, exit_code_of
from ds2ray.commands.wanted import take_base, wanted_anchor, wanted_base, wanted_weights
from ds2ray.commands.words import publish_table_words
from ds2ray.config import AdaptJob
from ds2ray.display.kept import KeptLines
from ds2ray.errors import CanaryError, ConfigError, InterruptedRunError, StorageError
from ds2ray.fleet.choosing.canary import Found, Sample, found_in
from ds2ray.fleet.choosing.limit import require_few_changed
from ds2ray.fleet.fingerprints import pipeline_state
from ds2ray.fleet.plan import Plan, cohorts_of, plan_table
from ds2ray.fleet.report import plan_text, repacked_text, summarise
from ds2ray.fleet.settling import SETTLED_PART, CohortStarts, settle, unsettled
from ds2ray.fleet.trained import TrainedUser
from ds2ray.naming import typed
from ds2ray.nights.night import ENDED, last_good_s
from ds2ray.nights.spent import Spent
from ds2ray.progress import paced
from ds2ray.store import BaseRecord, Store, lease, require_salt, server_outside
from ds2ray.store.index import close_run, open_run, recover_runs
from ds2ray.store.keys import private, refuse_case_pairs
from ds2ray.store.layout import plan_uri, run_uri, summary_uri
from ds2ray.store.outcomes import Outcome, read_outcomes, write_part
from ds2ray.store.records import SUMMARY, write_record
from ds2ray.store.recovery.agreement import healed_rows
from ds2ray.store.recovery.marks import why_no_run_id
from ds2ray.store.recovery.published import write_published


def run(job: AdaptJob) -> int:
    """Adapt every new or changed user; returns 0, or 3 where more users failed than `adapt.max_failed_ratio` accepts.

    Raises:
        ConfigError, InputError: wrong settings, table or base; nothing was started.
        CanaryError: the users who tried a new base first gained too little.
        InterruptedRunError: another run is at work on the store.
        KeyboardInterrupt: the run was asked to stop; what is finished is published and in the index.
        StorageError: the store failed; running again does what is unfinished.
    """
    with storage.using(server_outside(job.data, job.storage)), announced(job) as summary, display.keeping() as lines:
        return _adapt(job, Store.of(job.storage), summary, lines)


@dataclass(frozen=True)
class _Run:
    """A run that holds the store's lease.

    Attributes:
        store: fenced: nothing is written there once the lease is lost.
        keep_alive: renews the lease.
        aside: lines on damaged leftovers of other runs that were set aside, and on what was healed.
        spent: its seconds by stage.
    """

    job: AdaptJob
    store: Store
    run_id: str
    record: BaseRecord
    keep_alive: Callable[[], None]
    started_s: float
    aside: list[str] = field(default_factory=list)
    spent: Spent = field(default_factory=Spent)


@dataclass(frozen=True)
class _Trained:
    """A run's training when it is over, or was stopped.

    Attributes:
        plan: with the cohorts that were trained.
        starts: what became of the cohorts whose trials did not go through at once.
        stopped: why training did not come to its end.
        canary: what the users gained who were trained before the others.
    """

    plan: Plan
    starts: Mapping[int, CohortStarts] = field(default_factory=dict)
    stopped: BaseException | None = None
    canary: Found | None = None


def _adapt(job: AdaptJob, store: Store, told: dict[str, Any], lines: KeptLines) -> int:
    run_id = _new_run_id(job, store)
    require_salt(store)
    display.doing("reading the base")
    record = wanted_base(job, store)
    if job.dry_run:
        plan = make_plan(job, store, record, display.telling("planning"))
        display.say(plan_text(plan, job.users, store.root_uri))
        wanted_sample(job, store, record, plan)
        tell_estimate(job, record, plan, recent_runs(store, plan))
        wanted_anchor(job, record)
        publish_table_words(job.users, job.data, store, record, dry_run=True)
        return 0
    started_s = time.monotonic()
    with lease.held(store, run_id) as hold:
        run = _Run(job, hold.store, run_id, record, storage.bearing_outages(hold, lease.TTL_S), started_s)
        trained = _train(run, *_prepare(run))
        told.update(_finish(run, trained))  # also when the run was stopped: what is finished counts
        write_log(job, run.store, run_id, lines, trained.stopped)
        if trained.stopped is not None:
            raise trained.stopped
    return int(told["exit_code"])


def _new_run_id(job: AdaptJob, store: Store) -> str:
    if not job.users:
        raise ConfigError(f"users is missing: give a table `user_id,manifest`: {typed('adapt_users')} users.csv")
    if not job.run_id:
        return f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    wrong = why_no_run_id(job.run_id)
    if wrong:
        raise ConfigError(f"run_id={job.run_id!r:.80}: {wrong}; give another one, or leave it empty")
    if store.exists(plan_uri(store, job.run_id)):
        raise ConfigError(f"run_id={job.run_id}: {store} has a run of this name; give another one, or leave it empty")
    return job.run_id


def _prepare(run: _Run) -> tuple[Plan, Sample | None]:
    """Take over what crashed runs have left, look whether the index is right, and plan; with the users who are to be
    trained before the others."""
    run.spent.begin("planning")
    stay_alive = paced(lambda line: run.keep_alive())  # recovery and planning may take longer than a lease lasts
    for recovered in recover_runs(run.store, run.aside, lambda: stay_alive("")):
        display.say(f"took over the outcomes of run {recovered}, which had not come to its end")
    index = healed_rows(run.store, run.aside)
    for line in run.aside:
        display.say(f"damaged: {line}")

    def tell(line: str) -> None:
        display.doing("planning", line)
        stay_alive(line)

    require_salt(run.store, writing=True)
    plan = make_plan(run.job, run.store, run.record, tell, index)
    refuse_case_pairs(run.store, lambda: {*plan.user_keys, *index["user_key"].to_pylist()})
    display.say(plan_text(plan, run.job.users, run.store.root_uri))
    sample = wanted_sample(run.job, run.store, run.record, plan, index)
    recent = recent_runs(run.store, plan)
    run.spent.estimated_s = tell_estimate(run.job, run.record, plan, recent)
    run.spent.speech_s, run.spent.last_good_s = speech_to_train_s(plan), last_good_s(recent)
    require_few_changed(plan, run.job.adapt, display.ask)
    return plan, sample


def _train(run: _Run, plan: Plan, sample: Sample | None) -> _Trained:
    """Train the plan's cohorts, if there are any, on the cluster. Raises only what keeps the run from beginning."""
    if not plan.cohorts:
        take_base(run.job, run.store)
        _begin(run, plan)
        return _Trained(plan)
    run.spent.begin("starting")
    anchor = wanted_anchor(run.job, run.record)
    display.doing("reading the base")
    weights = wanted_weights(run.job, run.store, run.record)  # with a damaged base every trial would fail
    from ds2ray.cluster.session import connected  # imports Ray

    begun: Plan | None = None
    found: Found | None = None
    first: dict[str, TrainedUser] = {}
    try:
        with connected(run.job.cluster):
            from ds2ray.cluster.fleet import train_cohorts  # imports torch
            from ds2ray.cluster.gpus import cluster_gpus

            run.spent.gpus = cluster_gpus()
            work = (run.run_id, run.record, weights, run.keep_alive)
            if sample is not None:
                first = try_first(run.job, run.store, plan, sample, *work, anchor=anchor, spent=run.spent)
                found = found_in(sample, [user.outcome for user in first.values()], run.job.adapt)
                require_gains(found, run.job, run.store, run.record)
            plan = _packed_for_cluster(run, plan, first)
            take_base(run.job, run.store)  # not before: a run that is refused leaves the store's base as it was
            _begin(run, plan)
            begun = plan
            if found is not None:
                publish_sample(run.store, run.run_id, run.record, found, first)
                run.spent.begin("starting")
            starts: Mapping[int, CohortStarts] = {}
            if plan.cohorts:
                starts = train_cohorts(run.job, run.store, plan, *work, anchor=anchor, spent=run.spent)
    except CanaryError as error:
        return _Trained(plan, stopped=error, canary=found)
    except BaseException as error:
        if begun is None:
            raise
        return _Trained(begun, stopped=error, canary=found)
    return _Trained(plan, starts, canary=found)


def _packed_for_cluster(run: _Run, plan: Plan, done: Collection[str]) -> Plan:
    """The plan with cohorts for the connected cluster, without the users who are done; it was made for one of this
    machine's size."""
    from ds2ray.cluster.session import room_for_trials

    room = room_for_trials(run.job.adapt.cpus_per_trial, run.job.adapt.gpus_per_trial)
    packed = cohorts_of(plan.users, size_of_cohorts(run.job, run.record, room), done)
    if packed and len(packed) != len(plan.cohorts):
        display.say(f"  {repacked_text(packed, plan, room)}")
    return replace(plan, cohorts=packed)


def _begin(run: _Run, plan: Plan) -> None:
    """Publish the users' own words, mark the run as begun, and write its plan. From here on it has outcomes."""
    publish_table_words(run.job.users, run.job.data, run.store, run.record, dry_run=False)
    open_run(run.store, run.run_id)
    run.store.write_table(plan_uri(run.store, run.run_id), plan_table(plan))


def _finish(run: _Run, trained: _Trained) -> dict[str, Any]:
    """Settle every user's outcome, write outcomes and summary, and show them; returns the summary."""
    display.doing("writing outcomes")
    run.spent.begin("settling")
    plan, store = trained.plan, run.store
    rows: list[Outcome] = []
    try:
        if isinstance(trained.stopped, CanaryError):  # the run has not begun, so that it has no outcomes
            store.write_table(plan_uri(store, run.run_id), plan_table(plan))
        else:
            rows = _settled(run, trained)
            write_part(store, run.run_id, SETTLED_PART, rows, plan.unchanged)
            close_run(store, run.run_id, rows, pipeline_state(run.job.data))
        summary = _summary(run, trained, rows)
        summary |= previous_run(store)
        write_record(store, summary_uri(store, run.run_id), SUMMARY, summary)
    except (StorageError, InterruptedRunError) as error:  # the store is gone, or the lease
        keep_summary_here(run.run_id, _summary(run, replace(trained, stopped=trained.stopped or error), rows))
        raise
    write_report(run.job, store, summary, plan, rows)
    begun = not isinstance(trained.stopped, CanaryError)
    print_outcomes(rows, plan, run_uri(store, run.run_id), summary["seconds"], begun)
    return summary


def _settled(run: _Run, trained: _Trained) -> list[Outcome]:
    """Every user's outcome; those whom a trial has published and not told are written."""
    plan, store, finished = trained.plan, run.store, trained.stopped is None
    outcomes = read_outcomes(store, run.run_id, aside=run.aside)
    left = unsettled(plan, outcomes, finished=finished)
    outcomes += write_published(store, run.run_id, left, run.keep_alive)
    few = run.job.adapt.min_utterances
    rows = settle(plan, outcomes, trained.starts, finished=finished, min_utterances=few)
    return [replace(row, reason=private(row.reason)) for row in rows]


def _summary(run: _Run, trained: _Trained, rows: Sequence[Outcome]) -> dict[str, Any]:
    adapt, stopped = run.job.adapt, trained.stopped
    summary = summarise(
        rows,
        run_id=run.run_id,
        base_fingerprint=run.record.fingerprint,
        seconds=time.monotonic() - run.started_s,
        max_failed_ratio=adapt.max_failed_ratio,
        max_unusable_ratio=adapt.max_unusable_ratio,
        interrupted=stopped is not None,
        unchanged=trained.plan.unchanged,
        num_erased=trained.plan.num_erased,
    )
    code = exit_code_of(stopped) if stopped else summary["exit_code"]
    ended = time.strftime(ENDED, time.gmtime())
    canary = asdict(trained.canary) if trained.canary else None
    told = {"exit_code": code, "set_aside": run.aside, "canary": canary}
    return {**summary, **told, **told_of(run.job, run.spent, ended)}
