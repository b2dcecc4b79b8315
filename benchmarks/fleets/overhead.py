"""The cost per user of the driver of a fleet run: all work of a run but training and publishing.

The real Tune driver works off the cohorts of a fleet of users whose training is a no-op: a plan is cut into cohorts,
cohorts travel through the object store, trials start on reused actors, and each writes the outcomes of its users to
local storage, as in any run. Since nothing is trained, nothing is published: that would be two small objects per user,
which trials write, not the driver.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from benchmarks.common import emit, own_memory_mb, say
from ds2ray.cluster.cohort_trial import CohortTrial
from ds2ray.cluster.cohort_work import CohortWork
from ds2ray.cluster.fleet import train_cohorts
from ds2ray.cluster.session import connected, room_for_trials
from ds2ray.config import AdaptJob, AudioConfig, ClusterConfig, ModelConfig, TextConfig
from ds2ray.fleet.cohort_task import FleetTask
from ds2ray.fleet.cohorts import Room, cohort_size, pack_cohorts
from ds2ray.fleet.plan import Change, Plan, UserPlan
from ds2ray.model.building import build_model
from ds2ray.model.stored import publish_base
from ds2ray.model.weights import Base
from ds2ray.store import BaseRecord, Store, read_base
from ds2ray.store.layout import outcomes_uri
from ds2ray.store.outcomes import read_outcomes
from ds2ray.tables.manifest import Utterance
from ds2ray.text import Vocabulary
from ds2ray.training.adapters.cohort import CohortResult

NUM_USERS = 100_000
RUN_ID = "overhead"
WARM_UP_COHORTS = 200
"""Cohorts after which all modules are loaded and memory is counted; of a small fleet, half of its cohorts."""

NUM_UTTERANCES = 10
UTTERANCE_S = 6.0


class NoOpWork(CohortWork):
    """Work that reads its cohort and reports its users as any does, but trains nobody."""

    def results(self, users: Sequence[UserPlan]) -> Iterator[CohortResult]:
        for user in users:
            yield CohortResult(user.user_key, 0.0, len(user.utterances), reason="no-op")


class NoOpTrial(CohortTrial):
    """A trial with such work."""

    def open_work(self, task: FleetTask) -> NoOpWork:
        return NoOpWork(task)


def measure(num_users: int = NUM_USERS) -> dict[str, object]:
    """The figures of driving a fleet of `num_users` users whose training is a no-op.

    Memory is the driver's own (anonymous, resident), in 10^6 bytes, without the object store, which it shares with
    other processes and which holds the plan's users. Its growth is that per cohort after the first ones.
    """
    with tempfile.TemporaryDirectory(prefix="ds2ray-overhead-") as root:
        job, store = AdaptJob(cluster=ClusterConfig(address="local")), Store(root)
        record, weights = publish_tiny_base(store)
        with connected(job.cluster):
            room = room_for_trials(job.adapt.cpus_per_trial, job.adapt.gpus_per_trial)
            plan = _plan(num_users, job, room)
            start_mb, started_s = own_memory_mb(), time.perf_counter()
            with _warmed_up(store, min(WARM_UP_COHORTS, len(plan.cohorts) // 2)) as warm:
                train_cohorts(job, store, plan, RUN_ID, record, weights, lambda: None, trial=NoOpTrial)
                seconds, end_mb = time.perf_counter() - started_s, own_memory_mb()
        written = len(read_outcomes(store, RUN_ID))
    if written != num_users:
        raise RuntimeError(f"{written} outcomes of {num_users} users were written")
    later_cohorts = max(1, len(plan.cohorts) - warm.cohorts)
    return {
        "overhead_users": num_users,
        "overhead_ms_per_user": 1000 * seconds / num_users,
        "driver_memory_start_mb": start_mb,
        "driver_memory_end_mb": end_mb,
        "driver_memory_growth_kb_per_cohort": 1000 * (end_mb - warm.memory_mb) / later_cohorts,
        "cohorts": len(plan.cohorts),
        "trials_concurrent": room.trials,
    }


@dataclass
class _Warm:
    """The driver's memory after `cohorts` cohorts."""

    cohorts: int = 0
    memory_mb: float = 0.0


@contextmanager
def _warmed_up(store: Store, num_cohorts: int) -> Iterator[_Warm]:
    """A context that takes the memory as soon as `num_cohorts` cohorts have written their outcomes, one object each."""
    warm, done = _Warm(memory_mb=own_memory_mb()), threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            written = len(store.list_objects(outcomes_uri(store, RUN_ID)))
            if written >= num_cohorts:
                warm.cohorts, warm.memory_mb = written, own_memory_mb()
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield warm
    finally:
        done.set()
        watcher.join()


def publish_tiny_base(store: Store) -> tuple[BaseRecord, bytes]:
    """Publish a base that has learned nothing, with the letters a to d; its record and its weights, as `read_base`."""
    audio = AudioConfig(num_mels=16)
    shape = ModelConfig(conv_channels=4, num_rnn_layers=1, rnn_hidden_dim=24)
    vocabulary = Vocabulary.from_transcripts(["abcd "], TextConfig())
    torch.manual_seed(0)
    model = build_model(shape, audio, len(vocabulary)).eval()
    publish_base(store, Base.of(model, shape, audio, vocabulary), run_id=RUN_ID, metrics={})
    return read_base(store)


def _plan(num_users: int, job: AdaptJob, room: Room) -> Plan:
    """A plan of new users whose manifests were read, ten utterances each."""
    import pyarrow as pa

    def user(number: int) -> UserPlan:
        key = f"user-{number:07d}"
        utterances = [
            Utterance(f"{place}", key, f"/speech/{key}/{place:04d}.flac", UTTERANCE_S, "a b c d", place + 2)
            for place in range(NUM_UTTERANCES)
        ]
        return UserPlan(
            user_id=key, user_key=key, utterances=tuple(utterances), num_utterances=NUM_UTTERANCES,
            speech_s=NUM_UTTERANCES * UTTERANCE_S, num_dropped=0, reasons={}, fingerprint=f"{number:032x}",
            change=Change.new,
        )  # fmt: skip

    users = tuple(map(user, range(num_users)))
    cohorts = pack_cohorts([user.speech_s for user in users], cohort_size(job.adapt, room))
    unchanged = pa.table({"user_key": pa.array([], pa.string())})
    return Plan(users=users, unchanged=unchanged, cohorts=tuple(map(tuple, cohorts)), problems=())


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=NUM_USERS, help="users of the fleet")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    arguments = parser.parse_args(argv)
    say(f"driving {arguments.users} users whose training is a no-op")
    emit("overhead", measure(arguments.users), save=arguments.save)


if __name__ == "__main__":
    main()
