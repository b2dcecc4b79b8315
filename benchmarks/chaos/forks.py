"""Work in forks of a process that has everything loaded. They are killed by SIGKILL before a write, or after a time."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ds2ray.errors import Ds2RayError

CONTEXT = multiprocessing.get_context("forkserver")
LOADED = ["benchmarks.chaos.works", "matplotlib.backends.backend_svg"]


@dataclass(frozen=True)
class Ended:
    """How a fork ended: its exit code, negative for a signal, and its seconds."""

    code: int
    seconds: float


def in_fork(
    work: Callable[..., int],
    *arguments: str,
    log: Path,
    environment: Mapping[str, str],
    at_write: int = 0,
    after_s: float = 0.0,
) -> Ended:
    """Do the work in a fork of a process that has everything loaded.

    Args:
        log: receives what it prints.
        at_write: the process kills itself before this write or removal of a file, counted from 1; 0: at none.
        after_s: it is killed after so long; 0: never.
    """
    CONTEXT.set_forkserver_preload(LOADED)
    process = CONTEXT.Process(target=_child, args=(work, arguments, str(log), dict(environment), at_write))
    started_s = time.monotonic()
    process.start()
    process.join(after_s or None)
    if process.is_alive():
        process.kill()
        process.join()
    return Ended(process.exitcode or 0, time.monotonic() - started_s)


def _child(
    work: Callable[..., int], arguments: tuple[str, ...], log: str, environment: dict[str, str], at_write: int
) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(environment)
    if at_write:
        _die_at(at_write)
    try:
        code = work(*arguments)
    except Ds2RayError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        code = error.exit_code
    sys.exit(code)


def _die_at(number: int) -> None:
    """Have this process kill itself before its change of a file of this number."""
    done = 0

    def dying(change: Callable[..., None]) -> Callable[..., None]:
        def change_or_die(*arguments: Any, **options: Any) -> None:
            nonlocal done
            done += 1
            if done == number:
                os.kill(os.getpid(), signal.SIGKILL)
            change(*arguments, **options)

        return change_or_die

    for name in ("replace", "rename", "remove", "unlink"):
        setattr(os, name, dying(getattr(os, name)))
