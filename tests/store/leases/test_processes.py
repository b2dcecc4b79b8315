"""Leases between processes of this machine."""

import os
import signal
from functools import partial
from multiprocessing import Process, get_context
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from killed import dies_at
from leases import taken_elsewhere

from ds2ray.errors import InterruptedRunError
from ds2ray.store import Store, index, lease

pytestmark = pytest.mark.process


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


def test_a_run_that_died_here_is_not_waited_for(place: Store) -> None:
    process, _ = other_run(place)
    os.kill(process.pid or 0, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid or 0, os.WEXITED | os.WNOWAIT)  # dead, and still in the table of processes
    assert lease.held_elsewhere(place) == ""
    with lease.held(place, "mine"):
        assert index.recover_runs(place) == ["other"]
    process.join()


def test_a_lease_that_is_broken_is_whole_wherever_that_is_killed(tmp_path: Path) -> None:
    kills = 0
    while True:
        place = Store(str(tmp_path / str(kills)))
        first = taken_elsewhere(place)
        died = dies_at(kills + 1, partial(lease.break_lease, place))
        lease.break_lease(place)
        with pytest.raises(InterruptedRunError, match="run first has lost the lease"):
            lease.renew_lease(place, first)
        assert lease.acquire_lease(place, "second").fence > first.fence
        if not died:
            break
        kills += 1
    assert kills >= 1
