"""Nights of a small fleet, from the first to one in which hardly anybody has changed: what they take, and how well that
was told before and while they went on.

Users say toy words with tones for letters, to a base that hears nothing yet. The store lies on an S3 server of this
machine, behind a proxy that counts requests. The nights: all users new; nobody changed; two users with more speech;
two others. But for the first, each is a process of its own, from its start to its end. Ray starts anew in every night.

`idle_seconds`, `idle_requests`: of the night without changes. `changed_seconds`: of the last night.
`estimate_ratio`: what the last night took by what its plan had said, or the other way round: 1 or more. `eta_error`: of
the first night, the time that was told to be left against that which was left, as a share of the latter, at the worst
between a tenth and nine tenths of the training; `eta_error_mean` on the average.

Bars: 5 s and 60 requests for the night without changes, a third for estimate and ETA.
"""

import argparse
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from faulty_proxy import faulty_proxy
from fleet_runs import Finished, run_job, write_users
from s3_server import serve
from toy_fleet import silent_base
from toy_speech import make_utterances

from benchmarks.common import emit, say
from ds2ray import display, storage
from ds2ray.commands import adapt_users
from ds2ray.config import AdaptConfig, AdapterConfig, AdaptJob, StorageConfig
from ds2ray.display.doing import Doing, Drawn
from ds2ray.display.log import LogDisplay
from ds2ray.store import Store
from ds2ray.store.layout import summary_uri
from ds2ray.tables.manifest import Utterance

NUM_USERS, NUM_CHANGED = 60, 2
NUM_UTTERANCES = 24
MORE = 1.25
"""Speech of a user who has changed, by that of before."""

BARS = {"idle_seconds": 5.0, "idle_requests": 60.0, "estimate_ratio": 4 / 3, "eta_error": 1 / 3}
FROM, TO = 0.1, 0.9
"""Shares of the training between which the time that was told to be left counts."""

EVERY_S = 1.0
"""Seconds from one line of progress that is kept to the next."""

SETTINGS = ("adapter.hidden_dims=[8]", "adapt.gate_confidence=0")
RunJob = Callable[..., Finished]


@dataclass(frozen=True)
class Told:
    """A line of progress: when, the stage, and the seconds that are left by it; None where it told none."""

    at_s: float
    stage: str
    eta_s: float | None


@dataclass
class Listening(LogDisplay):
    """A display that keeps what is told of the progress, and prints nothing of it."""

    heard: list[Told] = field(default_factory=list)

    def doing(self, now: Doing, every_s: float) -> None:
        told = Told(time.monotonic(), now.phase, eta_in(now.facts))
        if not self.heard or told.at_s - self.heard[-1].at_s >= EVERY_S or told.stage != self.heard[-1].stage:
            self.heard.append(told)

    def say(self, line: str) -> None:
        say(line)

    def show(self, drawn: Drawn) -> None:
        """Drop a table: stdout has the JSON line alone."""


@dataclass(frozen=True)
class Nights:
    """What the nights took: seconds and requests of the idle one, seconds of the last one and of its estimate."""

    idle_seconds: float
    idle_requests: int
    changed_seconds: float
    estimated_seconds: float
    eta_errors: Sequence[float]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleets.night", description=__doc__)
    parser.add_argument("--users", type=int, default=NUM_USERS, help="users of the fleet (default: %(default)s)")
    parser.add_argument("--utterances", type=int, default=NUM_UTTERANCES, help="of each (default: %(default)s)")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="ds2ray-night-") as temporary:
        folder = Path(temporary)
        (folder / "server").mkdir()
        with serve(folder / "server") as server, faulty_proxy(server.endpoint_url) as proxy:
            os.environ.update(server.environment(), AWS_ENDPOINT_URL=proxy.endpoint_url)
            nights = measure(
                server.new_root(), folder, arguments.users, arguments.utterances, lambda: len(proxy.requests)
            )
    fields = fields_of(nights)
    emit("night", {"users": arguments.users, "utterances": arguments.utterances, **fields}, arguments.save)


def fields_of(nights: Nights) -> dict[str, object]:
    """The fields of the JSON line, with the bars that are missed."""
    ratio = nights.changed_seconds / nights.estimated_seconds
    figures = {
        "idle_seconds": nights.idle_seconds,
        "idle_requests": float(nights.idle_requests),
        "changed_seconds": nights.changed_seconds,
        "estimate_ratio": max(ratio, 1 / ratio),
        "eta_error": max(nights.eta_errors, default=float("inf")),
    }
    mean = sum(nights.eta_errors) / len(nights.eta_errors) if nights.eta_errors else float("inf")
    missed = [name for name, bar in BARS.items() if figures[name] > bar]
    return {**figures, "eta_error_mean": mean, "falls_short": missed}


def measure(
    root: str,
    folder: Path,
    num_users: int,
    num_utterances: int,
    num_requests: Callable[[], int] = lambda: 0,
    job: RunJob = run_job,
    nights: Sequence[str] = ("second", "third"),
    **changed: Any,
) -> Nights:
    """Go through the nights of a store at `root`, with speech in `folder`.

    Args:
        num_requests: to the server, so far.
        job: runs a job by its name and arguments.
        nights: ids of those in which users have changed, each time two others.
        changed: fields of AdaptConfig.

    Raises:
        RuntimeError: a night did not end with 0.
    """
    silent_base(root)
    users = {f"user-{number:03d}": number for number in range(num_users)}
    speech = {user: _speech(folder, user, number, num_utterances) for user, number in users.items()}
    table = write_users(str(folder / "users.csv"), speech)
    say(f"{num_users} new users")
    heard = _first_night(root, table, **changed)
    arguments = [f"users={table}", f"storage.root={root}", *SETTINGS]
    arguments += [f"adapt.{name}={value}" for name, value in changed.items()]
    say("nobody has changed")
    before = num_requests()
    idle_s = _night(job, "idle", arguments)
    requests = num_requests() - before
    names = sorted(users)
    for place, night in enumerate(nights):
        some = names[place * NUM_CHANGED : (place + 1) * NUM_CHANGED]
        say(f"{len(some)} users have changed")
        for user in some:
            speech[user] = _speech(folder, user, users[user], int(MORE * num_utterances))
        write_users(table, speech)
        seconds = _night(job, night, arguments)
    estimated_s = storage.read_json(summary_uri(Store(root), night))["estimated_s"]
    return Nights(idle_s, requests, seconds, estimated_s, eta_errors(heard))


def eta_errors(heard: Sequence[Told]) -> list[float]:
    """How far each line was from the truth, as a share of the time that was left, where that counts: of the training,
    which begins when the first trial does and ends with the last line that tells a stage of trials."""
    working = [told for told in heard if told.stage in ("reading audio", "encoding", "training")]
    if not working:
        return []
    start_s, end_s = working[0].at_s, working[-1].at_s
    lines = [t for t in working if FROM <= (t.at_s - start_s) / max(1e-9, end_s - start_s) <= TO]
    return [abs((t.eta_s or 0.0) - (end_s - t.at_s)) / (end_s - t.at_s) for t in lines]


def eta_in(facts: Sequence[str]) -> float | None:
    """The seconds that are left by the facts of a line: `eta 1m20s`."""
    for fact in facts:
        if found := re.fullmatch(r"eta (?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", fact):
            hours, minutes, seconds = (int(part or 0) for part in found.groups())
            return 3600.0 * hours + 60 * minutes + seconds
    return None


def _speech(folder: Path, user: str, seed: int, count: int) -> list[Utterance]:
    (folder / user).mkdir(exist_ok=True)
    return make_utterances(folder / user, count, seed=seed)


def _first_night(root: str, table: str, **changed: Any) -> list[Told]:
    """The first night, in this process; returns what it told of its progress."""
    adapt = replace(AdaptConfig(), gate_confidence=0.0, **changed)
    job = AdaptJob(
        users=table, run_id="first", adapt=adapt, adapter=AdapterConfig(hidden_dims=[8]),
        storage=StorageConfig(root=root),
    )  # fmt: skip
    with _listening() as listening:
        code = adapt_users.run(job)
    if code:
        raise RuntimeError(f"the first night ended with {code}")
    return listening.heard


@contextmanager
def _listening() -> Iterator[Listening]:
    """A context in which the progress is heard."""
    before, listening = display._display, Listening()
    display._display = listening
    try:
        yield listening
    finally:
        display._display = before


def _night(job: RunJob, run_id: str, arguments: Sequence[str]) -> float:
    """The seconds of a night that is a process of its own."""
    started_s = time.perf_counter()
    ended = job("adapt_users", *arguments, f"run_id={run_id}")
    if ended.code:
        raise RuntimeError(f"night {run_id!r} ended with {ended.code}:\n{ended.err}")
    return time.perf_counter() - started_s


if __name__ == "__main__":
    main()
