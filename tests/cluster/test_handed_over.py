"""Objects handed to Tune and Train, which pickle them: they can be pickled with every display of a job."""

import contextlib
import os
import pty
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_runs import RandomBase, job_of, spoken, write_users
from ray import cloudpickle, tune
from train_jobs import make_job

from ds2ray import display
from ds2ray.cluster import base_training
from ds2ray.commands import adapt_users, train
from ds2ray.demo.corpus import DemoCorpus

pytestmark = pytest.mark.filterwarnings("ignore:::ray.data.context")  # Ray Train loads Ray Data's settings


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of every Tuner and trainer that is made; each is pickled when it is."""
    seen: list[dict[str, Any]] = []

    def noting(made: type) -> None:
        init: Any = made.__init__  # type: ignore[misc]  # of these very classes

        def noted(self: Any, *args: Any, **arguments: Any) -> None:
            assert not args[1:]
            seen.append(arguments)
            cloudpickle.dumps((args, arguments))
            init(self, *args, **arguments)

        monkeypatch.setattr(made, "__init__", noted)

    noting(tune.Tuner)
    noting(base_training._Trainer)
    return seen


@pytest.fixture
def terminal_streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A terminal that somebody looks at."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("CI", raising=False)
    master, slave = pty.openpty()

    def look() -> None:
        with contextlib.suppress(OSError):  # Linux's way to say that nobody has the terminal open any more
            while os.read(master, 65536):
                pass

    reader = threading.Thread(target=look)
    reader.start()
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        yield stream
    reader.join()
    os.close(master)


def on_terminal(stream: Any, job: Any) -> int:
    """Run a job with the live display of that terminal."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("stdout", "stderr"):
            patch.setattr(sys, name, stream)
        with display.opened():
            assert display.is_live()
            code: int = job()
    return code


def test_of_a_fleet_run(
    ray_cluster: str,
    random_base: RandomBase,
    small_corpus: DemoCorpus,
    handed_over: list[dict[str, Any]],
    terminal_streams: Any,
    tmp_path: Path,
) -> None:
    root = random_base.publish(str(tmp_path / "store"))
    users = write_users(str(tmp_path / "users.csv"), {"tony": spoken(small_corpus)["tony"]})
    assert on_terminal(terminal_streams, lambda: adapt_users.run(job_of(root, users, "one"))) == 0
    assert len(handed_over) == 1
    assert len(handed_over[0]["run_config"].callbacks) == 2


def test_of_base_training(
    ray_cluster: str, handed_over: list[dict[str, Any]], terminal_streams: Any, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "job", num_workers=1)
    assert on_terminal(terminal_streams, lambda: train.run(job)) == 0
    assert [sorted(arguments) for arguments in handed_over] == [["run_config", "scaling_config", "train_loop_config"]]
    assert handed_over[0]["train_loop_config"]["is_live"]
