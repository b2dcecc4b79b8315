"""A job whose Ray is gone."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path

import pytest
import ray

from ds2ray import naming
from ds2ray.cluster import session
from ds2ray.cluster.watching import processes
from ds2ray.cluster.watching.processes import needed_processes, watched
from ds2ray.config import ClusterConfig


def code_of(work: Callable[[], object]) -> int | None:
    """The exit code of a fork that does this work, and goes on for a minute where nothing ends it."""

    def do() -> None:
        work()
        os._exit(0)

    process = get_context("fork").Process(target=do)
    process.start()
    process.join(60)
    process.kill()
    return process.exitcode


@pytest.fixture
def as_train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "_command", "jobs/train.py")


def raylet() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["sleep", "300"])


@pytest.mark.process
def test_it_ends_with_75_and_a_sentence_wherever_it_is(as_train: None, capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        child = raylet()
        with watched({"GCS": os.getppid(), "raylet": child.pid}):
            child.kill()
            while True:  # as code of ours or of torch, which no exception ends
                sum(range(1000))

    assert code_of(work) == 75
    (told,) = capfd.readouterr().err.splitlines()
    assert told.startswith(
        "jobs/train.py: Ray's raylet has ended by SIGKILL while the job was at work; nothing that is "
    )
    assert "run it again" in told


@pytest.mark.process
def test_a_raylet_that_ends_by_itself_is_gone_as_well(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with watched({"raylet": subprocess.Popen(["true"]).pid}):
            threading.Event().wait()

    assert code_of(work) == 75
    assert "Ray's raylet has ended while the job was at work" in capfd.readouterr().err


@pytest.mark.process
@pytest.mark.parametrize("number", processes.STOPS)
def test_a_job_that_is_stopped_together_with_its_ray_ends_in_order(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        child = raylet()
        with watched({"raylet": child.pid}):
            child.send_signal(number)
            time.sleep(0.05)  # what it has to write
        os._exit(7)

    assert code_of(work) == 7
    assert capfd.readouterr().err == ""


@pytest.mark.process
def test_one_that_goes_on_without_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_S", 0.01)

    def work() -> None:
        child = raylet()
        with watched({"raylet": child.pid}):
            child.terminate()
            threading.Event().wait()

    assert code_of(work) == 75


@pytest.mark.process
def test_full_pipes_do_not_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LAST_WORDS_S", 0.01)
    monkeypatch.setattr(processes.display, "complain", lambda line: threading.Event().wait())

    def work() -> None:
        child = raylet()
        with watched({"raylet": child.pid}):
            child.kill()
            threading.Event().wait()

    assert code_of(work) == 75


def test_nothing_is_left_of_it_afterwards() -> None:
    before = (threading.active_count(), len(os.listdir("/proc/self/fd")))
    with watched({"raylet": os.getpid(), "GCS": 2**22 + 1}):  # above the greatest number of a process
        assert threading.active_count() == before[0] + 1
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before


class TestNeededProcesses:
    def test_those_of_a_cluster_of_its_own(self, ray_cluster: str) -> None:
        found = needed_processes()
        programs = {name: Path(f"/proc/{pid}/exe").resolve().name for name, pid in found.items()}
        assert programs == {"raylet": "raylet", "GCS": "gcs_server"}

    def test_the_raylet_of_a_cluster_that_is_there(self, ray_cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
        of_its_own = needed_processes()
        monkeypatch.setattr(ray._private.worker._global_node, "all_processes", {})
        assert needed_processes() == {"raylet": of_its_own["raylet"]}

    def test_they_are_watched_while_the_job_is_connected(
        self, ray_cluster: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(session.ray, "is_initialized", lambda: False)
        monkeypatch.setattr(session, "_start", lambda: None)
        monkeypatch.setattr(session.ray, "shutdown", lambda: None)
        monkeypatch.setattr(session, "gpus_there", lambda cluster: nullcontext())
        with session.connected(ClusterConfig(address="local")):
            assert "ends with Ray" in names()
        assert "ends with Ray" not in names()


def names() -> Iterator[str]:
    return (thread.name for thread in threading.enumerate())
