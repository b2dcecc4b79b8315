import os
import signal
from dataclasses import asdict, replace
from multiprocessing import Process, get_context
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from ds2ray import storage
from ds2ray.errors import ArtifactCorruptError, InterruptedRunError
from ds2ray.store import Store, index, lease

NOW_S = 4_000_000_000.0  # in 2096: what expires then is live today


@pytest.fixture(params=["path", pytest.param("s3", marks=pytest.mark.s3)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path) if request.param == "path" else request.getfixturevalue("s3_root"))


def lease_uri(place: Store) -> str:
    return storage.join(place.root_uri, "index", "lease.json")


def on_another_machine(place: Store, run_id: str, now_s: float) -> lease.Lease:
    taken = replace(lease.acquire_lease(place, run_id, now_s), host="another-machine", process_id=1)
    storage.write_json(lease_uri(place), asdict(taken))
    return taken


def test_a_lease_that_is_given_back_can_be_taken(place: Store) -> None:
    first = lease.acquire_lease(place, "first", NOW_S)
    lease.release_lease(place, first)
    assert lease.acquire_lease(place, "second", NOW_S).run_id == "second"


def test_another_run_is_refused_until_the_lease_expires(place: Store) -> None:
    on_another_machine(place, "first", NOW_S)
    for now_s in (NOW_S, NOW_S + 119):
        with pytest.raises(InterruptedRunError, match="run first on another-machine") as caught:
            lease.acquire_lease(place, "second", now_s)
        assert caught.value.exit_code == 75
    assert lease.acquire_lease(place, "second", NOW_S + 120).run_id == "second"


def test_two_runs_of_one_name_are_two(place: Store) -> None:
    on_another_machine(place, "nightly", NOW_S)
    with pytest.raises(InterruptedRunError):
        lease.acquire_lease(place, "nightly", NOW_S)


def test_renewing_keeps_others_out(place: Store) -> None:
    taken = on_another_machine(place, "first", NOW_S)
    lease.renew_lease(place, taken, NOW_S + 100)
    with pytest.raises(InterruptedRunError):
        lease.acquire_lease(place, "second", NOW_S + 200)


def test_who_lost_the_lease_is_told_and_does_not_release_it(place: Store) -> None:
    lost = on_another_machine(place, "first", NOW_S)
    lease.acquire_lease(place, "second", NOW_S + 500)
    with pytest.raises(InterruptedRunError, match="run second"):
        lease.renew_lease(place, lost, NOW_S + 510)
    lease.release_lease(place, lost)
    assert storage.read_json(lease_uri(place))["run_id"] == "second"


def test_held(place: Store) -> None:
    with lease.held(place, "run") as keep_alive:
        keep_alive()
        assert storage.read_json(lease_uri(place))["run_id"] == "run"
        assert lease.held_elsewhere(place) == ""
    assert not storage.exists(lease_uri(place))


def test_a_lease_is_given_back_after_a_failure(place: Store) -> None:
    with pytest.raises(KeyError), lease.held(place, "run"):
        raise KeyError
    assert not storage.exists(lease_uri(place))


def _hold(place: Store, holds: Event, over: Event) -> None:
    with lease.held(place, "other"):
        index.open_run(place, "other")
        holds.set()
        over.wait()
        index.close_run(place, "other", [])


def other_run(place: Store) -> tuple[Process, Event]:
    context = get_context("fork")
    holds, over = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(place, holds, over))
    process.start()
    assert holds.wait(60)
    return process, over  # type: ignore[return-value]


@pytest.mark.process
def test_a_living_run_is_left_alone(place: Store) -> None:
    process, over = other_run(place)
    assert lease.held_elsewhere(place) == "other"
    assert index.recover_runs(place) == []
    with pytest.raises(InterruptedRunError, match="run other"), lease.held(place, "mine"):
        pytest.fail("another run is at work")
    over.set()
    process.join()
    assert process.exitcode == 0
    with lease.held(place, "mine"):
        pass


@pytest.mark.process
def test_a_run_that_died_here_is_not_waited_for(place: Store) -> None:
    process, _ = other_run(place)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert lease.held_elsewhere(place) == ""
    with lease.held(place, "mine"):
        assert index.recover_runs(place) == ["other"]


def test_what_is_no_lease_is_found(place: Store) -> None:
    storage.write_json(lease_uri(place), {"run_id": "x"})
    with pytest.raises(ArtifactCorruptError, match=r"lease\.json: not a lease; delete it"):
        lease.acquire_lease(place, "run", NOW_S)
