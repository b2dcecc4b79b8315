"""Fleet runs that are cut short: killed workers, and jobs that are asked to stop."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest
from fleet_runs import (
    SETTINGS,
    RandomBase,
    adapt_users,
    changed_outcomes,
    finish,
    job_of,
    spoken,
    start_job,
    trial_pids,
    wait_for,
    write_users,
)

from ds2ray import storage
from ds2ray.commands import adapt_users as adapt
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.store import Store, read_pointer
from ds2ray.store.index import read_index
from ds2ray.store.outcomes import Status


def test_a_killed_worker_costs_nobody_their_adapter(
    ray_cluster: str, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
) -> None:
    root = random_base.publish(str(tmp_path / "store"))
    speech = spoken(small_corpus)
    # on CPUs one user is trained after another: when the first is done, the others have hundreds of steps to go
    users = write_users(str(tmp_path / "users.csv"), speech)
    killed: list[int] = []
    published: list[str] = []

    def kill_worker() -> None:
        wait_for(lambda: bool(pointers()))
        killed.extend(trial_pids(os.getpid()))
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        published.extend(pointers())

    def pointers() -> list[str]:
        return [path.parent.name for path in (tmp_path / "store" / "users").glob("*/current.json")]

    killer = threading.Thread(target=kill_worker)
    killer.start()
    code, trained = adapt_users(
        root, users, "killed", batch_size=1, num_epochs=60, patience_epochs=60, learning_rate=1e-4
    )
    killer.join()
    assert len(killed) == 1
    assert set() < set(published) < set(small_corpus.user_ids)
    assert code == 0
    assert sorted(trained) == sorted(small_corpus.user_ids)
    assert {row.status for row in trained.values()} == {Status.adapted}
    assert {row.attempts for row in trained.values()} == {2}
    parts = [part.uri for part in storage.list_objects(f"{root}/runs/killed/outcomes")]
    assert parts[-1].endswith("/settled.parquet")
    for rows in (parts[:-1], parts[-1:]):
        keys = [key for uri in rows for key in storage.read_table(uri)["user_key"].to_pylist()]
        assert sorted(keys) == sorted(small_corpus.user_ids)


def test_a_worker_that_dies_every_time_is_said_to(
    ray_cluster: str, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
) -> None:
    root = random_base.publish(str(tmp_path / "store"))
    done = threading.Event()

    def kill_workers() -> None:
        while not done.wait(0.02):
            for pid in trial_pids(os.getpid()):
                os.kill(pid, signal.SIGKILL)

    users = write_users(str(tmp_path / "users.csv"), {"tony": spoken(small_corpus)["tony"]})
    killer = threading.Thread(target=kill_workers)
    killer.start()
    try:
        code, trained = adapt_users(root, users, "doomed", max_attempts=2)
    finally:
        done.set()
        killer.join()
    assert (code, trained["tony"].status, trained["tony"].attempts) == (3, Status.failed, 2)
    assert trained["tony"].reason.startswith("its cohort was started 2 times, in vain: ")
    assert storage.read_json(f"{root}/runs/doomed/summary.json")["failures"] == {trained["tony"].reason: 1}
    assert read_index(Store(root))["tony"].fingerprint == ""


@pytest.mark.process
def test_stopped_by_sigterm_it_keeps_what_is_finished_and_goes_on_from_there(
    ray_cluster: str, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
) -> None:
    root = random_base.publish(str(tmp_path / "store"))
    four = ("fiona", "winston", "gary", "tony")
    users = write_users(str(tmp_path / "users.csv"), {user: spoken(small_corpus)[user] for user in four})
    argv = [users, f"storage.root={root}", f"cluster.address={ray_cluster}", *SETTINGS]
    argv += ["adapt.max_cohort_users=1", "adapt.num_epochs=60", "adapt.patience_epochs=60"]
    process = start_job("adapt_users", *argv, "run_id=one")
    parts = tmp_path / "store" / "runs" / "one" / "outcomes"
    wait_for(lambda: any(parts.glob("*.parquet")), process)
    process.send_signal(signal.SIGTERM)
    stopped = finish(process)
    assert stopped.code == 75
    assert stopped.err.splitlines()[-1].startswith("jobs/adapt_users.py: interrupted; run it again")
    finished = set(changed_outcomes(root, "one"))
    assert 1 <= len(finished) < len(four)
    summary = storage.read_json(f"{root}/runs/one/summary.json")
    assert (summary["users"], summary["interrupted"], summary["exit_code"]) == (len(finished), True, 75)
    assert all(read_pointer(Store(root), user) is not None for user in finished)

    assert adapt.run(job_of(root, users, "two", num_epochs=60, patience_epochs=60)) == 0
    assert set(changed_outcomes(root, "two")) == set(four) - finished
    statuses = json.loads((tmp_path / "store/runs/two/summary.json").read_text())["statuses"]
    assert (statuses["adapted"], statuses["unchanged"]) == (len(four) - len(finished), len(finished))
    assert {user: read_pointer(Store(root), user).seq for user in finished} == dict.fromkeys(finished, 1)  # type: ignore[union-attr]
