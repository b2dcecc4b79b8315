"""Writers that race for one store, each in a process of its own: nights without training."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import Process, get_context
from multiprocessing.queues import Queue

from ds2ray import storage
from ds2ray.errors import Ds2RayError
from ds2ray.store import Store, lease, publish_adapter
from ds2ray.store.index import close_run, open_run, read_index, recover_runs
from ds2ray.store.outcomes import Outcome, Status, read_outcomes, write_part
from ds2ray.store.recovery.agreement import heal_index

FINGERPRINT = "speech-of-tonight"
USERS_OF_A_PART = 3


@dataclass(frozen=True)
class Ended:
    """How a writer ended: its exit code, and the users for whom it has published."""

    run_id: str
    exit_code: int
    published: tuple[str, ...]


def night(store: Store, run_id: str, users: Sequence[str], ttl_s: float, wait_s: float) -> list[str]:
    """Publish an adapter for every user who has none of tonight's speech; returns the keys of those users."""
    published = list[str]()
    with lease.held(store, run_id, ttl_s=ttl_s, wait_s=wait_s) as hold:
        recover_runs(hold.store)
        heal_index(hold.store)
        known = read_index(hold.store)
        todo = [key for key in users if key not in known or known[key].fingerprint != FINGERPRINT]
        open_run(hold.store, run_id)
        outcomes, part, renewed_s = list[Outcome](), list[Outcome](), time.monotonic()
        for number, key in enumerate(todo, 1):
            if time.monotonic() - renewed_s > ttl_s / 4:
                hold()
                renewed_s = time.monotonic()
            pointer = publish_adapter(
                hold.store,
                key,
                f"{run_id} {key}".encode(),
                base_fingerprint="base",
                data_fingerprint=FINGERPRINT,
                adapter={},
                run_id=run_id,
                error_before=0.5,
                error_after=0.25,
            )
            published.append(key)
            outcome = Outcome(user_key=key, status=Status.adapted, fingerprint=FINGERPRINT, version=pointer.version)
            part.append(outcome)
            outcomes.append(outcome)
            if len(part) == USERS_OF_A_PART or number == len(todo):
                write_part(hold.store, run_id, f"{number:06d}", part)
                part = []
        close_run(hold.store, run_id, outcomes)
    return published


def _race(
    environment: Mapping[str, str], root: str, run_id: str, users: Sequence[str], ttl_s: float, wait_s: float,
    ended: "Queue[Ended]",
) -> None:  # fmt: skip
    os.environ.update(environment)
    published, code = [], 0
    try:
        published = night(Store(root), run_id, users, ttl_s, wait_s)
    except Ds2RayError as error:
        code = error.exit_code
    ended.put(Ended(run_id, code, tuple(published)))


def start_night(
    environment: Mapping[str, str], root: str, run_id: str, users: Sequence[str], ttl_s: float, wait_s: float,
    ended: "Queue[Ended]",
) -> Process:  # fmt: skip
    """Start a night in a process of its own, which puts into `ended` how it ended."""
    process = get_context("spawn").Process(
        target=_race, args=(dict(environment), root, run_id, list(users), ttl_s, wait_s, ended), daemon=True
    )
    process.start()
    return process  # type: ignore[return-value]


def holder_of(store: Store) -> int:
    """The process id of the holder of a store's lease; 0 without one."""
    found = lease.read_lease(store)
    return 0 if found is None else found.process_id


def outcomes_by_user(store: Store) -> dict[str, list[str]]:
    """The runs that have an outcome of each user."""
    runs: dict[str, list[str]] = {}
    folders = {info.uri.split("/runs/")[1].split("/")[0] for info in _objects(store, "runs")}
    for run_id in sorted(folders):
        for outcome in read_outcomes(store, run_id):
            runs.setdefault(outcome.user_key, []).append(run_id)
    return runs


def _objects(store: Store, folder: str) -> list[storage.ObjectInfo]:
    return store.list_objects(storage.join(store.root_uri, folder), recursive=True)
