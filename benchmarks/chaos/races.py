"""Races: two nights at work on one store, one of them stopped (SIGSTOP) until it has lost its lease, then let go on.

Each is a process of its own, on a server that honours conditional writes and on one that does not. Afterwards a third
night goes through: every user has an adapter that the index knows, and one outcome.
"""

import math
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from moto_server import serve_moto
from racing import Ended, holder_of, night, outcomes_by_user, start_night
from s3_server import S3Server, serve

from benchmarks.common import say
from ds2ray.storage import Server
from ds2ray.store import Store, history, read_pointer
from ds2ray.store.index import read_index

TTL_S = 4.0
USERS = tuple(f"user-{number:02d}" for number in range(40))
RACES_OF = 300
"""Of what chaos counts as its mutations, one race for so many, on each server."""

_STOPPED_S = TTL_S + 4.0
_LIMIT_S = 300.0


def races(seed: int, count: int, seconds: float = math.inf) -> dict[str, int]:
    """Race `count / RACES_OF` times on each server, at least once, and no further race after so many seconds.

    Returns:
        the figures, of which all but `races` and `stops` (how often a night was stopped past its lease) have to be 0.
    """
    draws, figures = random.Random(seed), dict[str, int]()
    for name in ("moto", "juicefs"):
        until_s = time.monotonic() + seconds / 2
        with _server(name) as server, _environment(server):
            for number in range(max(1, count // RACES_OF)):
                if number and time.monotonic() > until_s:
                    break
                say(f"race {number + 1} on {name}")
                for key, value in race(server, draws).items():
                    figures[key] = figures.get(key, 0) + value
    return figures


def race(server: S3Server, draws: random.Random) -> dict[str, int]:
    """One race on a new store; see `races`."""
    store, ended = Store(server.new_root(), Server(server.endpoint_url)), get_context("spawn").Queue()
    names = ("first", "second")
    nights = {
        process.pid: process
        for process in [
            start_night(server.environment(), store.root_uri, name, USERS, TTL_S, _LIMIT_S, ended) for name in names
        ]
    }
    stopped = _stop_holder(store, draws, {pid for pid in nights if pid})
    results: list[Ended] = [ended.get(timeout=_LIMIT_S) for _ in names]
    for process in nights.values():
        process.join()
    gone_through = [result for result in results if result.exit_code == 0]
    late = sum(read_pointer(store, key) is None for key in USERS)
    night(store, "third", USERS, TTL_S, wait_s=_LIMIT_S)
    index, outcomes = read_index(store), outcomes_by_user(store)
    lost = [key for key in USERS if not _agrees(store, key, index[key].version if key in index else "")]
    return {
        "races": 1,
        "stops": stopped,
        "nobody_went_through": int(not gone_through),
        "users_lost": len(lost),
        "users_done_twice": sum(len(outcomes.get(key, ())) > 1 for key in USERS),
        "half_visible": late if gone_through else 0,
    }


def _stop_holder(store: Store, draws: random.Random, nights: set[int]) -> int:
    """Stop the night that has the lease at a random moment of its work, until the other one has taken it over."""
    until_s = time.monotonic() + _LIMIT_S
    while (holder := holder_of(store)) not in nights and time.monotonic() < until_s:
        time.sleep(0.02)
    if holder not in nights:
        return 0  # and never 0, which is this process and all of its group
    time.sleep(draws.uniform(0.0, 0.6))
    try:
        os.kill(holder, signal.SIGSTOP)
    except ProcessLookupError:
        return 0
    time.sleep(_STOPPED_S)
    os.kill(holder, signal.SIGCONT)
    return 1


def _agrees(store: Store, key: str, version: str) -> bool:
    """Whether a user's pointer knows the version that the index names."""
    return version in [entry["version"] for entry in history(store, key)]


@contextmanager
def _server(name: str) -> Iterator[S3Server]:
    if name == "moto":
        with serve_moto() as server:
            yield server
        return
    with TemporaryDirectory(prefix="ds2ray-races-") as folder, serve(Path(folder)) as server:
        yield server


@contextmanager
def _environment(server: S3Server) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(server.environment())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
