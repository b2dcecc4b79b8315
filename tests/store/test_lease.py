import os
import signal
from dataclasses import asdict, replace
from multiprocessing import Process, get_context
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from ds2ray import storage
from ds2ray.errors import ArtifactCorruptError, InterruptedRunError
from ds2ray.store import index, lease

NOW_S = 4_000_000_000.0  # in 2096: what expires then is live today


@pytest.fixture(params=["path", pytest.param("s3", marks=pytest.mark.s3)])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "path" else str(request.getfixturevalue("s3_root"))


def lease_uri(root: str) -> str:
    return storage.join(root, "index", "lease.json")


def on_another_machine(root: str, run_id: str, now_s: float) -> lease.Lease:
    taken = replace(lease.acquire_lease(root, run_id, now_s), host="another-machine", process_id=1)
    storage.write_json(lease_uri(root), asdict(taken))
    return taken


def test_a_lease_that_is_given_back_can_be_taken(root: str) -> None:
    first = lease.acquire_lease(root, "first", NOW_S)
    lease.release_lease(root, first)
    assert lease.acquire_lease(root, "second", NOW_S).run_id == "second"


def test_another_run_is_refused_until_the_lease_expires(root: str) -> None:
    on_another_machine(root, "first", NOW_S)
    for now_s in (NOW_S, NOW_S + 119):
        with pytest.raises(InterruptedRunError, match="run first on another-machine") as caught:
            lease.acquire_lease(root, "second", now_s)
        assert caught.value.exit_code == 75
    assert lease.acquire_lease(root, "second", NOW_S + 120).run_id == "second"


def test_two_runs_of_one_name_are_two(root: str) -> None:
    on_another_machine(root, "nightly", NOW_S)
    with pytest.raises(InterruptedRunError):
        lease.acquire_lease(root, "nightly", NOW_S)


def test_renewing_keeps_others_out(root: str) -> None:
    taken = on_another_machine(root, "first", NOW_S)
    lease.renew_lease(root, taken, NOW_S + 100)
    with pytest.raises(InterruptedRunError):
        lease.acquire_lease(root, "second", NOW_S + 200)


def test_who_lost_the_lease_is_told_and_does_not_release_it(root: str) -> None:
    lost = on_another_machine(root, "first", NOW_S)
    lease.acquire_lease(root, "second", NOW_S + 500)
    with pytest.raises(InterruptedRunError, match="run second"):
        lease.renew_lease(root, lost, NOW_S + 510)
    lease.release_lease(root, lost)
    assert storage.read_json(lease_uri(root))["run_id"] == "second"


def test_held(root: str) -> None:
    with lease.held(root, "run") as keep_alive:
        keep_alive()
        assert storage.read_json(lease_uri(root))["run_id"] == "run"
        assert lease.held_elsewhere(root) == ""
    assert not storage.exists(lease_uri(root))


def test_a_lease_is_given_back_after_a_failure(root: str) -> None:
    with pytest.raises(KeyError), lease.held(root, "run"):
        raise KeyError
    assert not storage.exists(lease_uri(root))


def _hold(root: str, holds: Event, over: Event) -> None:
    with lease.held(root, "other"):
        index.open_run(root, "other")
        holds.set()
        over.wait()
        index.close_run(root, "other", [])


def other_run(root: str) -> tuple[Process, Event]:
    context = get_context("fork")
    holds, over = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(root, holds, over))
    process.start()
    assert holds.wait(60)
    return process, over  # type: ignore[return-value]


@pytest.mark.process
def test_a_living_run_is_left_alone(root: str) -> None:
    process, over = other_run(root)
    assert lease.held_elsewhere(root) == "other"
    assert index.recover_runs(root) == []
    with pytest.raises(InterruptedRunError, match="run other"), lease.held(root, "mine"):
        pytest.fail("another run is at work")
    over.set()
    process.join()
    assert process.exitcode == 0
    with lease.held(root, "mine"):
        pass


@pytest.mark.process
def test_a_run_that_died_here_is_not_waited_for(root: str) -> None:
    process, _ = other_run(root)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert lease.held_elsewhere(root) == ""
    with lease.held(root, "mine"):
        assert index.recover_runs(root) == ["other"]


def test_what_is_no_lease_is_found(root: str) -> None:
    storage.write_json(lease_uri(root), {"run_id": "x"})
    with pytest.raises(ArtifactCorruptError, match=r"lease\.json: not a lease; delete it"):
        lease.acquire_lease(root, "run", NOW_S)
