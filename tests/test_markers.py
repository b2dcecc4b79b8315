"""The markers say what a test starts: those of fixtures come by themselves, and nothing else is started unsaid."""

import multiprocessing
import os
import subprocess
import sys

import pytest
from starting import UnmarkedStartError


class TestUnmarked:
    def test_a_program_is_refused(self) -> None:
        with pytest.raises(UnmarkedStartError, match="test_a_program_is_refused starts a process"):
            subprocess.run([sys.executable, "--version"], check=True)

    def test_a_fork_is_refused(self) -> None:
        with pytest.raises(UnmarkedStartError):
            os._exit(0) if os.fork() == 0 else None

    @pytest.mark.parametrize("method", ["fork", "spawn"])
    def test_multiprocessing_is_refused(self, method: str) -> None:
        with pytest.raises(UnmarkedStartError):
            multiprocessing.get_context(method).Process(target=print).start()  # type: ignore[attr-defined]

    def test_no_marker_is_there_by_itself(self, request: pytest.FixtureRequest) -> None:
        assert markers(request) == set()


@pytest.mark.process
def test_with_the_marker_a_program_may_run() -> None:
    assert subprocess.run([sys.executable, "--version"], check=True, capture_output=True).returncode == 0


def test_a_bucket_marks_its_test(s3_root: str, request: pytest.FixtureRequest) -> None:
    assert markers(request) == {"s3"}


@pytest.fixture
def fleet(ray_cluster: str) -> str:
    return ray_cluster


def test_a_cluster_marks_its_test_through_a_fixture_of_it(fleet: str, request: pytest.FixtureRequest) -> None:
    assert markers(request) == {"ray"}


def markers(request: pytest.FixtureRequest) -> set[str]:
    return {mark.name for mark in request.node.iter_markers()}
