"""The rerun of a run that has come to its end: everybody is unchanged, and nothing is to be written of anybody.

Every user has speech of their own, which planning looks at again. The store is written by the functions that a run
writes it with, with adapters of a few bytes; then `jobs/adapt_users.py` runs as a process of its own, from its start to
its end: once with the store on a local folder, once with the store on an S3 server of this machine, behind a proxy that
counts requests.

Bars: nothing is written under `users/`, and 10 s on either store.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from faulty_proxy import faulty_proxy
from finished_run import finish_run
from fleet_runs import Finished, run_job, write_users
from s3_server import S3Server, serve

from benchmarks.common import emit, say
from benchmarks.fleets.overhead import publish_tiny_base
from ds2ray.config import AdaptJob, StorageConfig
from ds2ray.store import Store
from ds2ray.store.layout import users_uri
from ds2ray.store.outcomes import Status, read_outcomes
from ds2ray.tables.manifest import Utterance

NUM_USERS = 1000
NUM_UTTERANCES = 4
UTTERANCE_S = 2.0
SAMPLE_RATE_HZ = 16_000
LONGEST_S = 10.0
FIRST, AGAIN = "first", "again"
"""Names of the run that has come to its end, and of its rerun."""

WRITING = ("PUT", "POST", "DELETE")

RunJob = Callable[..., Finished]


@dataclass(frozen=True)
class Rerun:
    """A rerun's cost.

    Attributes:
        writes_under_users: files and folders that have changed or gone there, or requests that write there.
        requests: to the S3 server; 0 on a folder.
    """

    seconds: float
    writes_under_users: int
    requests: int = 0


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleets.finished", description=__doc__)
    parser.add_argument("--users", type=int, default=NUM_USERS, help="users of the run (default: %(default)s)")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="ds2ray-finished-") as temporary:
        folder = Path(temporary)
        say(f"speech of {arguments.users} users")
        users = write_fleet(folder / "speech", arguments.users)
        say("a run and its rerun on a local folder")
        on_files = rerun_on_files(str(folder / "store"), users)
        say("the same on an S3 server")
        (folder / "server").mkdir()
        with serve(folder / "server") as server:
            os.environ.update(server.environment())
            on_s3 = rerun_on_s3(server, server.new_root(), users)
    emit("finished", fields_of(arguments.users, on_files, on_s3), arguments.save)


def fields_of(num_users: int, on_files: Rerun, on_s3: Rerun) -> dict[str, object]:
    """The fields of the JSON line, with the bars that are missed."""
    fields: dict[str, float] = {
        "seconds_files": on_files.seconds,
        "seconds_s3": on_s3.seconds,
        "writes_under_users": on_files.writes_under_users + on_s3.writes_under_users,
    }
    bars = {"seconds_files": LONGEST_S, "seconds_s3": LONGEST_S, "writes_under_users": 0}
    missed = [name for name, bar in bars.items() if fields[name] > bar]
    return {"users": num_users, **fields, "requests": on_s3.requests, "falls_short": missed}


def write_fleet(folder: Path, num_users: int) -> str:
    """Write a manifest of noise with a user_id column, for each user in files of their own; returns its URI."""
    audio = folder / "audio"
    audio.mkdir(parents=True)
    draws = np.random.default_rng(0)
    samples = int(UTTERANCE_S * SAMPLE_RATE_HZ)
    users = {}
    for number in range(num_users):
        user, utterances = f"user-{number:04d}", []
        for place in range(NUM_UTTERANCES):
            path = audio / f"{user}-{place}.flac"
            noise = draws.integers(-99, 99, samples, dtype=np.int16)
            soundfile.write(path, noise, SAMPLE_RATE_HZ)
            utterances.append(Utterance(f"{user}-{place}", user, str(path), UTTERANCE_S, "a b c d", place + 2))
        users[user] = utterances
    return write_users(str(folder / "users.csv"), users)


def rerun_on_files(root: str, users: str, job: RunJob = run_job) -> Rerun:
    """Finish a run in a new store in the folder `root`, and run it again by `job`.

    Raises:
        RuntimeError: the rerun has failed, or has found somebody changed.
    """
    store = _finished_store(root, users)
    before = _seen(Path(users_uri(store)))
    seconds = _rerun(store, users, job)
    after = _seen(Path(users_uri(store)))
    changed = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
    return Rerun(seconds, len(changed))


def rerun_on_s3(server: S3Server, root: str, users: str, job: RunJob = run_job) -> Rerun:
    """The same on a server, whose credentials stand in this process's environment."""
    store = _finished_store(root, users)
    with faulty_proxy(server.endpoint_url) as proxy:
        seconds = _rerun(store, users, job, AWS_ENDPOINT_URL=proxy.endpoint_url)
        requests = list(proxy.requests)
    place = "/" + users_uri(store).removeprefix("s3://") + "/"
    writes = [request for request in requests if _writes_under(request, place)]
    return Rerun(seconds, len(writes), len(requests))


def _writes_under(request: str, place: str) -> bool:
    """Whether a request, `PUT /bucket/key`, writes there; one that deletes many keys names none, and counts."""
    method, _, path = request.partition(" ")
    return method in WRITING and (path.startswith(place) or (method == "POST" and "?delete" in path))


def _finished_store(root: str, users: str) -> Store:
    store = Store(root)
    publish_tiny_base(store)
    finish_run(AdaptJob(users=users, storage=StorageConfig(root=root)), FIRST)
    return store


def _rerun(store: Store, users: str, job: RunJob, **environment: str) -> float:
    """The seconds of the rerun."""
    started_s = time.perf_counter()
    ended = job("adapt_users", f"users={users}", f"storage.root={store.root_uri}", f"run_id={AGAIN}", **environment)
    seconds = time.perf_counter() - started_s
    if ended.code:
        raise RuntimeError(f"the rerun ended with {ended.code}:\n{ended.err}")
    rows = read_outcomes(store, AGAIN)
    changed = [row.user_key for row in rows if row.status is not Status.unchanged]
    if changed or len(rows) != len(read_outcomes(store, FIRST)):
        raise RuntimeError(f"of {len(rows)} users these were not left as they are: {', '.join(changed[:5])}")
    return seconds


def _seen(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """The inode, time and size of each file and folder below, and of the folder itself: each write changes one."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.stat()
        found[path] = (status.st_ino, status.st_mtime_ns, status.st_size)
    return found


if __name__ == "__main__":
    main()
