"""A sweep of 24 adapters on 8 users, from reading the users to the plot, against a process for each adapter and user.

Both work on the demo's base and accents, `--workers` processes of one thread at a time. The sweep is
`jobs/sweep_adapters.py` as it is, with successive halving, starts its own Ray and encodes the speech once. A process
each starts Python, opens the base, reads and encodes the one user's speech, and trains for all epochs: two are timed,
beside each other, and scaled to all. `without_halving` is what the sweep would take if every trial had all its epochs,
by the seconds of its trials.

Bars: the sweep takes at most 300 seconds, `speedup` is at least 10.
"""

import argparse
import contextlib
import csv
import io
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.common import CACHE, emit, say
from benchmarks.speech import Speaker, base_corpus, speakers, trained_base
from ds2ray import storage
from ds2ray.config import AdaptConfig, AdapterConfig, ClusterConfig, StorageConfig, SweepConfig, SweepJob
from ds2ray.tables.manifest import write_manifest

MOST_S, LEAST_SPEEDUP = 300.0, 10.0
TIMED = 2
"""Processes that are timed."""
DIMS = [[32], [64], [128], [256], [512], [128, 64], [256, 128], [512, 256]]
RATES = [1e-3, 2e-3, 4e-3]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=8, help="users that everything is tried on")
    parser.add_argument("--minutes", type=float, default=1.3, help="speech per user")
    parser.add_argument("--shapes", type=int, default=len(DIMS), help="shapes, each with three learning rates")
    parser.add_argument("--epochs", type=int, default=40, help="epochs of a trial, at most")
    parser.add_argument("--after-layer", type=int, default=-1, help="the adapters' place; -1: after the last layer")
    parser.add_argument("--halving", type=int, default=3, help="sweep.halving; 1: every trial has all its epochs")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    parser.add_argument("--base", default="", help="a model.pt; empty: the demo's base, trained if need be")
    parser.add_argument("--cache", default=CACHE, help="keeps speech and base between runs")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    ordinary = base_corpus(args.cache, 20 if args.base else 400, 5 if args.base else 40)
    base_path = storage.absolute(args.base) if args.base else trained_base(args.cache, ordinary)
    users = [user.with_minutes(args.minutes) for user in speakers(args.cache, args.users, args.minutes, 1, ordinary)]
    with tempfile.TemporaryDirectory(prefix="ds2ray-bench-") as folder:
        job = job_of(args, base_path, f"{folder}/users.parquet", f"{folder}/store")
        write_manifest(job.users, [u for user in users for u in user.adapt], audio_relative=False)
        seconds = timed(job)
        table = list(csv.DictReader(io.StringIO(storage.read_bytes(f"{folder}/store/sweeps/bench/table.csv").decode())))
        summary = json.loads(storage.read_bytes(f"{folder}/store/sweeps/bench/summary.json"))
    say(f"the sweep took {seconds:.0f} s")
    num_points = len(job.sweep.hidden_dims) * len(job.sweep.learning_rates)
    each_s = alone(job, base_path, users, args.workers)
    processes_s = each_s * num_points * len(users) / args.workers
    whole = [row for row in table if row["status"] == "done"]
    whole_s = sum(float(row["seconds_per_user"]) * len(users) for row in whole) / len(whole)
    fields = {name: getattr(args, name) for name in ("users", "minutes", "epochs", "after_layer", "halving", "workers")}
    speedup = processes_s / seconds
    emit(
        "sweep",
        {
            **fields,
            "adapters": num_points,
            "trials": len(table),
            "seconds": seconds,
            "without_halving_seconds": whole_s * num_points / args.workers,
            "process_seconds": each_s,
            "processes_seconds": processes_s,
            "speedup": speedup,
            "best": {name: whole[0][name] for name in ("adapter.hidden_dims", "adapt.learning_rate", "wer")},
            "wer_base": float(whole[0]["wer_before"]),
            "same_as_best": len(summary["same_as_best"]),
            "falls_short": [
                *(["seconds"] if seconds > MOST_S else []),
                *(["speedup"] if speedup < LEAST_SPEEDUP else []),
            ],
        },
        args.save,
    )


def job_of(args: argparse.Namespace, base_path: str, users: str, root: str) -> SweepJob:
    """The sweep that is timed."""
    return SweepJob(
        users=users,
        base=base_path,
        sweep_id="bench",
        sweep=SweepConfig(
            hidden_dims=DIMS[: args.shapes], learning_rates=RATES, halving=args.halving, num_users=args.users
        ),
        adapter=AdapterConfig(after_layer=args.after_layer),
        adapt=AdaptConfig(
            num_epochs=args.epochs, cross_validate_below=0, max_concurrent_trials=args.workers, max_failed_ratio=1.0
        ),
        storage=StorageConfig(root=root),
        cluster=ClusterConfig(address="local"),
    )


def timed(job: SweepJob) -> float:
    """Seconds of a sweep, with the start and the end of its Ray."""
    from ds2ray.commands import sweep_adapters

    started_s = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        code = sweep_adapters.run(job)
    if code:
        raise RuntimeError(f"the sweep ended with exit code {code}: its trials are above")
    return time.perf_counter() - started_s


def alone(job: SweepJob, base_path: str, users: Sequence[Speaker], workers: int) -> float:
    """Seconds of a process for one adapter of one user, the mean of TIMED of them, `workers` beside each other."""
    adapter = replace(job.adapter, hidden_dims=job.sweep.hidden_dims[len(job.sweep.hidden_dims) // 2])
    context, seconds = multiprocessing.get_context("spawn"), 0.0
    for start in range(0, TIMED, workers):
        started_s = time.perf_counter()
        group = [
            context.Process(target=train_alone, args=(base_path, user, adapter, job.adapt))
            for user in users[start : min(TIMED, start + workers)]
        ]
        for process in group:
            process.start()
        for process in group:
            process.join()
            if process.exitcode:
                raise RuntimeError(f"a process ended with exit code {process.exitcode}; its error is above")
        seconds += (time.perf_counter() - started_s) * len(group)
    return seconds / TIMED


def train_alone(base_path: str, user: Speaker, adapter: AdapterConfig, adapt: AdaptConfig) -> None:
    """Train one adapter of one user in this process, from its start."""
    import torch

    from ds2ray.model.files import load_model_file
    from ds2ray.training.adapters.cohort import adapt_cohort, results_of

    torch.set_num_threads(1)
    (result,) = results_of(adapt_cohort(load_model_file(base_path), {user.user_id: user.adapt}, adapter, adapt))
    if result.fit is None:
        raise RuntimeError(result.reason)


if __name__ == "__main__":
    main()
