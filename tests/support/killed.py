"""Work on a store that dies of SIGKILL at the k-th change of a local disk, in a process of its own."""

import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

_CHANGES = ("replace", "remove", "rmdir", "unlink")


def dies_at(change: int, work: Callable[[], object]) -> bool:
    """Whether `work` died at its n-th change, from 1, before it was done; False: it came to its end before."""
    process = get_context("fork").Process(target=_work_and_die, args=(change, work))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


def _work_and_die(change: int, work: Callable[[], object]) -> None:
    left = change

    def dying(real: Callable[..., None]) -> Callable[..., None]:
        def act(*args: Any, **named: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            real(*args, **named)

        return act

    for name in _CHANGES:
        setattr(os, name, dying(getattr(os, name)))
    work()
