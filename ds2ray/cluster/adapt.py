"""jobs/adapt_users.py: plan → cohorts → Ray Tune → published adapters, outcomes and an exit code."""

import os
import shutil
import signal
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ds2ray import storage
from ds2ray.config import AdaptJob
from ds2ray.data.manifest import UserData, read_users
from ds2ray.errors import ConfigError, InterruptedRunError
from ds2ray.fleet import index, lease, outcomes, store
from ds2ray.fleet.outcomes import Outcome, Status
from ds2ray.fleet.plan import Change, Plan, plan_run
from ds2ray.fleet.report import exit_code, outcome_table, plan_text, summarise

if TYPE_CHECKING:
    from ds2ray.cluster.cohort_trial import FleetTask


def run(job: AdaptJob) -> int:
    """Adapt every new or changed user of the table; returns the exit code of design: 0 complete, 3 too many failed."""
    started_s = time.monotonic()
    storage.configure(job.storage)
    if not job.users:
        raise ConfigError("users is missing: give a table with `user_id,manifest`, as in `adapt_users.py users.csv`")
    record = base_record(job)
    root = job.storage.root
    if not job.dry_run:
        index.recover_runs(root)
    plan = make_plan(job, record)
    console = Console()
    console.print(plan_text(plan, job.users, root), highlight=False, markup=False, soft_wrap=True)
    if job.dry_run:
        return 0
    run_id = job.run_id or f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    with lease.held(root, run_id) as keep_alive:
        index.open_run(root, run_id)
        interrupted: InterruptedRunError | None = None
        recoveries: Counter[int] = Counter()
        if plan.cohorts:
            try:
                recoveries = _train(job, plan, run_id, record, keep_alive)
            except InterruptedRunError as error:
                interrupted = error
        rows = settle(root, run_id, plan, recoveries, finished=interrupted is None)
        index.close_run(root, run_id, rows)
    return report(console, job, plan, run_id, rows, time.monotonic() - started_s, interrupted)
