"""A night of a large fleet without its training: the plan of a million users, one in twenty of whom has changed.

All rows of the users table are sealed; the index is that of a first night in which everybody was adapted. The night is
planned and settled twice, each time in a fresh process: on a local folder, and through a store that counts requests.
Every user to train is settled as if adapted at once. The work of the driver, which lies between plan and settling, is
measured on a smaller fleet (see benchmarks/fleets/overhead.py).
"""

import argparse
import hashlib
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from benchmarks.common import emit, measured_apart, say
from benchmarks.fleets import overhead
from benchmarks.fleets.counted import REQUESTS
from ds2ray import storage
from ds2ray.commands.adapt_users import make_plan
from ds2ray.config import AdaptJob, AudioConfig, TextConfig, to_plain
from ds2ray.fleet.plan import Change, plan_table
from ds2ray.fleet.report import plan_text, summarise
from ds2ray.fleet.settling import SETTLED_PART, settle
from ds2ray.store import BaseRecord, Store
from ds2ray.store.index import close_run, open_run
from ds2ray.store.layout import plan_uri
from ds2ray.store.outcomes import Outcome, Status, write_part
from ds2ray.text import Vocabulary

CHANGED_EVERY = 20  # 5 % of the users


@dataclass(frozen=True)
class Night:
    """The cost of a run beside its training. Requests are 0 for a store that does not count them."""

    users: int
    changed: int
    cohorts: int
    plan_s: float
    settle_s: float
    plan_requests: int
    settle_requests: int


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleets.plan", description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000, help="users in the table (default: %(default)s)")
    parser.add_argument("--driven-users", type=int, default=overhead.NUM_USERS, help="users driven; 0: none")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="ds2ray-plan-") as folder:
        fields = plan_fields(folder, arguments.users)
    if arguments.driven_users:
        say(f"a fleet of {arguments.driven_users} users whose training is a no-op")
        fields |= measured_apart(overhead.measure, arguments.driven_users).value
    emit("plan", fields, arguments.save)


def plan_fields(folder: str, num_users: int) -> dict[str, object]:
    """The fields of the JSON line; `folder` holds the tables and stores."""
    yesterday, today = storage.join(folder, "yesterday.parquet"), storage.join(folder, "users.parquet")
    say(f"the first night of {num_users} users, whose outcomes become the index")
    write_users(yesterday, num_users, changed_every=0)
    write_users(today, num_users, CHANGED_EVERY)
    measured_apart(one_night, yesterday, Store(storage.join(folder, "local")), "first")
    shutil.copytree(storage.join(folder, "local"), storage.join(folder, "counted"))
    say(f"a night in which 1 of {CHANGED_EVERY} users has changed, on a local folder")
    local = measured_apart(one_night, today, Store(storage.join(folder, "local")), "second")
    say("the same through a store that counts requests")
    elsewhere = Store(f"counted://{storage.join(folder, 'counted')}")
    counted = measured_apart(one_night, f"counted://{today}", elsewhere, "second")
    night, remote = local.value, counted.value
    if (night.users, night.changed) != (remote.users, remote.changed):
        raise RuntimeError(f"two stores gave two plans: {night}, {remote}")
    return {
        "users": night.users,
        "changed": night.changed,
        "cohorts": night.cohorts,
        "seconds": night.plan_s,
        "peak_memory_mb": max(local.peak_memory_mb, counted.peak_memory_mb),
        "storage_requests": remote.plan_requests,
        "settle_seconds": night.settle_s,
        "settle_storage_requests": remote.settle_requests,
    }


def write_users(uri: str, num_users: int, changed_every: int) -> None:
    """Write a users table of sealed rows; every `changed_every`-th has another version than with `changed_every=0`."""
    versions = []
    for number in range(num_users):
        changed = changed_every and number % changed_every == 0
        versions.append(hashlib.sha256(f"{number} {'new' if changed else 'old'}".encode()).hexdigest()[:32])
    columns = {
        "user_id": [f"user.{number:07d}@example.com" for number in range(num_users)],
        "manifest": [f"users/user.{number:07d}.parquet" for number in range(num_users)],
        "version": versions,
        "speech_s": [60.0 + number % 600 for number in range(num_users)],
        "num_utterances": [20 + number % 100 for number in range(num_users)],
    }
    storage.write_table(uri, pa.table(columns))


def one_night(users_uri: str, store: Store, run_id: str) -> Night:
    """Plan a run, count every user to train as adapted, and settle the run."""
    job = AdaptJob(users=users_uri)
    record = _base()
    started_s, requests = time.perf_counter(), REQUESTS.total()
    plan = make_plan(job, store, record)
    say(plan_text(plan, users_uri, store.root_uri).replace("\n", " ·"))
    planned_s, plan_requests = time.perf_counter(), REQUESTS.total() - requests
    open_run(store, run_id)
    store.write_table(plan_uri(store, run_id), plan_table(plan))
    trained = [_adapted(user.user_key, user.fingerprint) for user in plan.users if user.to_train]
    rows = settle(plan, trained, {}, finished=True, min_utterances=job.adapt.min_utterances)
    write_part(store, run_id, SETTLED_PART, rows, plan.unchanged)
    close_run(store, run_id, rows)
    summarise(
        rows,
        run_id=run_id,
        base_fingerprint=record.fingerprint,
        seconds=0.0,
        max_failed_ratio=0.0,
        unchanged=plan.unchanged,
    )
    return Night(
        users=plan.num_users,
        changed=plan.count(Change.changed),
        cohorts=len(plan.cohorts),
        plan_s=planned_s - started_s,
        settle_s=time.perf_counter() - planned_s,
        plan_requests=plan_requests,
        settle_requests=REQUESTS.total() - requests - plan_requests,
    )


def _adapted(user_key: str, fingerprint: str) -> Outcome:
    digest = hashlib.sha256(fingerprint.encode()).hexdigest()
    return Outcome(
        user_key=user_key,
        status=Status.adapted,
        seconds=1.0,
        utterances_used=20,
        error_before=0.5,
        error_after=0.25,
        version=digest[:16],
        sha256=digest,
        fingerprint=fingerprint,
    )


def _base() -> BaseRecord:
    """The record of a base, with the fields that planning reads."""
    return BaseRecord(
        base_id="0" * 16,
        fingerprint="0" * 64,
        sha256="0" * 64,
        size_bytes=1,
        model={},
        audio=to_plain(AudioConfig()),
        vocabulary=Vocabulary.from_transcripts(["the words of a plan"], TextConfig()).to_json(),
        run_id="",
        metrics={},
    )


if __name__ == "__main__":
    main()
