"""Faults by the thousand: what is published stays whole, nobody is lost or done twice, and nothing is wrong in silence.

Requests go through a proxy that breaks a quarter of them (500, 503, resets, lost answers, stalls, truncated and slow
bodies, flipped bytes, expired credentials, and an outage). Jobs are killed by SIGKILL, at every write and at random
moments: the driver, a worker, the raylet or the GCS of a real run, and nights, packing and training of a base in forks.
After each kill the job is run again, and the store is compared with that of a run which was left alone. A run whose
raylet or GCS is killed has to end with 75.

Bars (what a run of 20 minutes misses is named in `falls_short`): `faults_injected` at least 1000, counted by the proxy;
`kills` at least 50, each of a living process; `mutations` of stored bytes at least 3000; `users_lost`,
`users_done_twice`, `half_visible`, `silent_corruptions`, `tracebacks` and `leaks` 0; `stores_equal` true;
`runs_not_taken_up`, `requests_given_up` and `wrong_exit_codes` 0.
"""

import argparse
import os
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from faulty_proxy import Fault, faulty_proxy
from s3_server import S3Server, serve
from toy_fleet import make_users, silent_base
from toy_speech import make_utterances

from benchmarks.chaos.findings import Adapters, Findings, stored_leaks
from benchmarks.chaos.jobs import Jobs
from benchmarks.chaos.leaks import leaks
from benchmarks.chaos.mutations import mutations
from benchmarks.chaos.races import races
from benchmarks.chaos.steps import Steps
from benchmarks.chaos.storm import RATES, storm
from benchmarks.common import emit, say
from ds2ray import storage
from ds2ray.storage import Server
from ds2ray.store import Store
from ds2ray.store.keys import SALT_VARIABLE
from ds2ray.tables.manifest import write_manifest

MINUTES = 20.0
FAULTS, KILLS, MUTATIONS = 1000, 50, 3000
ZERO = ("users_lost", "users_done_twice", "half_visible", "silent_corruptions", "tracebacks", "leaks")
UNWANTED = ("runs_not_taken_up", "requests_given_up", "wrong_exit_codes")
USERS = {f"planted-person-{number}": 5 for number in range(6)}
OUTAGE_S = 60.0

RACES = 0.2
"""Share of all time for races at most; on a machine with other work each takes a minute."""

SHARES = {"storm": 0.15, "steps": 0.35, "jobs": 0.93}
"""By which share of the time that is left after mutations and races each part is over."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="of all that is drawn by chance (default: a new one)")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="time at most (default: %(default)g)")
    parser.add_argument("--keep", default="", help="folder that keeps stores and logs (default: none)")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    arguments = parser.parse_args(argv)
    seed = arguments.seed if arguments.seed is not None else secrets.randbelow(2**31)
    say(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="ds2ray-chaos-") as temporary:
        folder = Path(arguments.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        fields = measure(folder.resolve(), seed, arguments.minutes)
    emit("chaos", fields, arguments.save)


def measure(folder: Path, seed: int, minutes: float = MINUTES) -> dict[str, object]:
    """Do all parts in this time; the figures of the line."""
    started_s, scale = time.monotonic(), minutes / MINUTES
    findings, draws = Findings(), random.Random(seed)
    say("mutations of stored bytes, and races for a store")
    count = max(1, int(MUTATIONS * scale))
    figures = {"mutations": mutations(seed, count), "races": races(seed, count, RACES * 60 * minutes)}
    begun_s = time.monotonic()
    left_s = started_s + 60 * minutes - begun_s
    until = {name: begun_s + share * left_s for name, share in SHARES.items()}
    with (
        serve(_made(folder / "server")) as server,
        faulty_proxy(server.endpoint_url, RATES, seed, stall_s=1.0) as proxy,
        storage.using(Server(proxy.endpoint_url)),
    ):
        environment = _environment(server, folder)
        os.environ.update(environment)
        say("a storm of requests")
        storm_root = server.new_root()
        # the jobs that follow meet faults, too: half of all is enough here
        compared = storm(storm_root, proxy, int(FAULTS * min(1.0, 2 * scale)), until["storm"], seed, findings)
        speech = _made(folder / "speech")
        users = make_users(speech, USERS)
        silent_base(str(folder / "base"))
        steps = Steps(folder, folder / "base", users, list(USERS), environment, findings, draws)
        expected = steps.reference()
        say("kills of packing and of training")
        steps.packing(num_kills=max(2, round(8 * scale)))
        manifest = str(speech / "train.csv")
        write_manifest(manifest, make_utterances(speech, 16, seed=99))
        steps.training(manifest, num_kills=max(1, round(8 * scale)))
        say("packing, training and recognition behind the proxy")
        steps.through_proxy(manifest, server.new_root(), proxy.endpoint_url)
        say("kills of store verbs, and of nights, write by write")
        steps.verbs(until["steps"])
        steps.nights(expected, until["steps"])
        jobs = Jobs(sys.executable, folder, users, environment, proxy, findings, draws)
        roots = _all_jobs(jobs, server, expected, until["jobs"], OUTAGE_S * min(1.0, scale * 2))
        say("looking for what must not be anywhere")
        hidden = {"secret key": server.secret_key, "user id": "planted-person", "salt": environment[SALT_VARIABLE]}
        outside = {name: secret for name, secret in hidden.items() if name != "user id"}
        found = leaks([folder / "ray", folder / "tmp"], outside)
        direct = Server(server.endpoint_url)
        found += [leak for root in roots for leak in stored_leaks(Store(root, direct), hidden)]
        findings.found("leaks", "; ".join(found[:5]), len(found))
        shutil.rmtree(folder.joinpath("ray").resolve(), ignore_errors=True)
    return _fields(seed, minutes, time.monotonic() - started_s, dict(proxy.injected), findings, figures, compared)


def _all_jobs(jobs: Jobs, server: S3Server, expected: Adapters, deadline_s: float, outage_s: float) -> list[str]:
    """Run jobs that are killed, one after the other, and one with an outage; returns the roots of their stores."""
    roots: list[str] = []
    longest_s = 0.0
    while not roots or time.monotonic() + longest_s + outage_s < deadline_s:
        started_s = time.monotonic()
        root = server.new_root()
        store = Store(root, Server(server.endpoint_url))
        with storage.using(store.server):
            silent_base(root)
        if len(roots) == 1:
            jobs.through_outage(root, store, expected, outage_s)
        else:
            jobs.killed(root, store, expected, deadline_s)
        roots.append(root)
        longest_s = max(longest_s, time.monotonic() - started_s) if len(roots) != 2 else longest_s
    return roots


def _fields(
    seed: int,
    minutes: float,
    seconds: float,
    injected: Mapping[Fault, int],
    findings: Findings,
    figures: Mapping[str, Mapping[str, int]],
    compared: int,
) -> dict[str, object]:
    wrong = findings.wrong.copy()
    for part in figures.values():
        wrong.update({name: count for name, count in part.items() if name in ZERO})
    fields: dict[str, object] = {
        "seed": seed,
        "minutes": minutes,
        "seconds": seconds,
        "faults_injected": sum(injected.values()),
        "faults": {fault.value: count for fault, count in injected.items()},
        "kills": findings.kills.total() + sum(part.get("kills", 0) for part in figures.values()),
        "killed": dict(findings.kills),
        "mutations": sum(part.get("mutations", 0) for part in figures.values()),
        "contents_compared": compared,
        **{name: wrong.pop(name, 0) for name in ZERO},
        "stores_equal": not wrong.pop("unequal_stores", 0),
        **{name: wrong.pop(name, 0) for name in UNWANTED},
        "elsewhere": {name: dict(part) for name, part in figures.items()},
        "notes": findings.notes[:20],
    }
    return {**fields, "falls_short": falls_short(fields)}


def falls_short(fields: Mapping[str, object]) -> list[str]:
    """The names of the bars that a run misses."""
    least = {"faults_injected": FAULTS, "kills": KILLS, "mutations": MUTATIONS}
    missed = [name for name, bar in least.items() if int(str(fields[name])) < bar]
    missed += [name for name in (*ZERO, *UNWANTED) if fields[name]]
    return missed if fields["stores_equal"] else [*missed, "stores_equal"]


def _environment(server: S3Server, folder: Path) -> dict[str, str]:
    """The environment of all jobs: the server's credentials, a salt, one thread, and a place for Ray's files."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RAY_", "DS2RAY_"))}
    ray = tempfile.mkdtemp(prefix="ds2ray-", dir="/tmp")  # a short name, for sockets
    (folder / "ray").symlink_to(ray)
    return {
        **own,
        **server.environment(),
        "OMP_NUM_THREADS": "1",
        "RAY_TMPDIR": ray,
        "TMPDIR": str(_made(folder / "tmp")),
        SALT_VARIABLE: secrets.token_hex(16),
    }


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    main()
