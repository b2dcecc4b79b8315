"""The markers of tests: what a test starts beside itself, and a guard that refuses what no marker says."""

import multiprocessing.util
import sys
from collections.abc import Sequence
from typing import Any

import pytest

MARKER_OF = {"ray_cluster": "ray", "ray_head": "ray", "s3_server": "s3", "s3_root": "s3"}
"""The marker that a test has because of a fixture that it uses."""

MARKERS = ("ray", "s3", "process")
STARTS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn")
"""Audit events of Python that tell of a new process."""


SYNTHESISER = "espeak_worker.py"
"""The process of milliseconds that speaks the corpora of tests; it needs no marker."""


class UnmarkedStartError(AssertionError):
    """A test without a marker starts a process."""


class StartGuard:
    """Plugin of pytest that gives tests the markers of their fixtures, and holds the others to starting nothing."""

    def __init__(self) -> None:
        self._unmarked = ""  # the test that is at work, unless a marker says that it starts something
        sys.addaudithook(self._refuse)
        _tell_of_spawned_processes()

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in MARKER_OF:
                item.add_marker(MARKER_OF[fixture])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._unmarked = "" if any(item.get_closest_marker(name) for name in MARKERS) else item.nodeid

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self) -> None:
        self._unmarked = ""  # what fixtures of the session do to end is not this test's

    def _refuse(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._unmarked and event in STARTS and SYNTHESISER not in repr(arguments):
            raise UnmarkedStartError(
                f"{self._unmarked} starts a process {arguments[:2]}: mark it with {' or '.join(MARKERS)}"
            )


def _tell_of_spawned_processes() -> None:
    """Let multiprocessing tell of processes that it spawns, which Python's own audit events leave out."""
    spawn = multiprocessing.util.spawnv_passfds

    def told(path: bytes, arguments: Sequence[str], descriptors: Sequence[int]) -> int:
        sys.audit("subprocess.Popen", path, arguments, None, None)
        return spawn(path, arguments, descriptors)

    vars(multiprocessing.util)["spawnv_passfds"] = told
