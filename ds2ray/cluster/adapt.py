"""jobs/adapt_users.py: plan, train what is new or changed on Ray Tune, publish, and say what became of each user.

Ray and torch are imported only when there is something to train: a plan, or a night without changes, needs neither.
"""

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich.console import Console

from ds2ray import storage
from ds2ray.config import AdaptJob, AudioConfig, from_plain
from ds2ray.data.users import read_users, usable_users
from ds2ray.errors import ConfigError
from ds2ray.fleet import lease
from ds2ray.fleet.index import close_run, open_run, read_index, recover_runs
from ds2ray.fleet.outcomes import Outcome, Status, read_outcomes, run_uri
from ds2ray.fleet.plan import Change, Plan, plan_run, plan_table
from ds2ray.fleet.report import duration_text, exit_code, outcome_table, plan_text, summarise
from ds2ray.fleet.store import BaseRecord, read_base_record
from ds2ray.text import Vocabulary


def run(job: AdaptJob) -> int:
    """Adapt every new or changed user; returns 0, or 3 where more users failed than `adapt.max_failed_ratio` accepts.

    Raises:
        ConfigError, InputError: wrong settings, table or base; nothing was started.
        InterruptedRunError: another run is at work on the store.
        KeyboardInterrupt: the run was asked to stop; what is finished is published and in the index.
        StorageError: the store failed; running again does what is unfinished.
    """
    storage.configure(job.storage)
    if not job.users:
        raise ConfigError("users is missing: give a table `user_id,manifest`, as in `adapt_users.py users.csv`")
    record = base_record(job)
    if job.dry_run:
        _print_plan(job, make_plan(job, record))
        return 0
    started_s = time.monotonic()
    root_uri = job.storage.root
    run_id = job.run_id or f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    with lease.held(root_uri, run_id) as keep_alive:
        for recovered in recover_runs(root_uri):
            print(f"took over the outcomes of run {recovered}, which had not come to its end")
        plan = make_plan(job, record)
        _print_plan(job, plan)
        open_run(root_uri, run_id)
        storage.write_table(run_uri(root_uri, run_id, "plan.parquet"), plan_table(plan))
        attempts: Mapping[int, int] = {}
        finished = False
        try:
            if plan.cohorts:
                from ds2ray.cluster.fleet import train_cohorts  # imports torch and Ray

                attempts = train_cohorts(job, plan, run_id, record, keep_alive)
            finished = True
        finally:
            # also when the run is stopped: what is finished counts
            rows = settle(plan, read_outcomes(root_uri, run_id), attempts, finished)
            close_run(root_uri, run_id, rows)
            summary = summarise(
                rows,
                run_id=run_id,
                base_fingerprint=record.fingerprint,
                seconds=time.monotonic() - started_s,
                max_failed_ratio=job.adapt.max_failed_ratio,
                interrupted=not finished,
            )
            storage.write_json(run_uri(root_uri, run_id, "summary.json"), summary)
            _print_outcomes(rows, plan, run_uri(root_uri, run_id), summary["seconds"], finished)
    return exit_code(rows, job.adapt.max_failed_ratio)


def base_record(job: AdaptJob) -> BaseRecord:
    """The base to adapt to; that of a model.pt is published in the store first, so that recognition finds it."""
    if not job.base.endswith(".pt"):
        return read_base_record(job.storage.root, job.base)
    from ds2ray.artifacts import describe_base, publish_base
    from ds2ray.model.weights import load_model_file

    base = load_model_file(job.base)
    if not job.dry_run:
        publish_base(job.storage.root, base, run_id=job.base, metrics={})
    return describe_base(base, run_id=job.base)


def make_plan(job: AdaptJob, record: BaseRecord) -> Plan:
    """Read and check the users and compare them with the index."""
    users, problems = read_users(job.users, job.data)
    uris = {u.audio for user in users for u in user.utterances if isinstance(u.audio, str)}
    objects = storage.stat_many(sorted(uris))
    users = usable_users(
        users,
        data=job.data,
        audio=from_plain(AudioConfig, record.audio),
        vocabulary=Vocabulary.from_json(record.vocabulary),
        objects=objects,
    )
    return plan_run(
        users,
        problems,
        read_index(job.storage.root),
        objects,
        base_fingerprint=record.fingerprint,
        adapter=job.adapter,
        adapt=job.adapt,
        min_cohorts=job.adapt.max_concurrent_trials or os.cpu_count() or 1,
    )


def settle(plan: Plan, trained: Sequence[Outcome], attempts: Mapping[int, int], finished: bool) -> list[Outcome]:
    """One outcome per user of the plan, in its order.

    Args:
        trained: what the trials wrote.
        attempts: how often each cohort was started, where more than once.
        finished: whether the trials came to their end; users without an outcome failed only then.
    """
    outcome_of = {outcome.user_key: outcome for outcome in trained}
    cohort_of = {user: number for number, cohort in enumerate(plan.cohorts) for user in cohort}
    rows = []
    for number, user in enumerate(plan.users):
        tries = attempts.get(cohort_of.get(number, -1), 1)
        empty = Outcome(
            user_key=user.user_key, status=Status.unchanged, attempts=0, fingerprint=user.fingerprint,
            utterances_dropped=user.num_dropped,
        )  # fmt: skip
        if user.user_key in outcome_of:
            rows.append(replace(outcome_of[user.user_key], attempts=tries))
        elif user.change is Change.unchanged:
            rows.append(empty)
        elif user.change is Change.skipped:
            causes = "; ".join(f"{count} × {cause}" for cause, count in user.reasons.items())
            reason = f"{len(user.utterances)} usable utterances" + (f" ({causes})" if causes else "")
            rows.append(replace(empty, status=Status.skipped_no_data, reason=reason))
        elif finished:
            reason = f"the worker of cohort {cohort_of[number]} died in each of {tries} attempts; see Ray's logs"
            rows.append(replace(empty, status=Status.failed, reason=reason, attempts=tries))
        else:
            rows.append(replace(empty, status=Status.failed, reason="the run was stopped before this user's turn"))
    return rows


def _print_plan(job: AdaptJob, plan: Plan) -> None:
    print(plan_text(plan, job.users, job.storage.root), flush=True)


def _print_outcomes(rows: Sequence[Outcome], plan: Plan, run_folder: str, seconds: float, finished: bool) -> None:
    changed = [row for row in rows if row.status is not Status.unchanged]
    if changed:
        Console().print(outcome_table(changed))
    else:
        print(f"all {len(rows)} users unchanged: nothing to do")
    word = "done" if finished else "stopped; run again to do the rest"
    print(f"{word} in {duration_text(seconds)}: {run_folder}", flush=True)
