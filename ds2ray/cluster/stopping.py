"""A stop that loses nothing: SIGTERM or Ctrl-C becomes a question that training asks after each step."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import ray
from ray.exceptions import RayError

GRACE_S = 25.0
"""Seconds that saving a state may take: Kubernetes ends a pod 30 seconds after SIGTERM."""

ASK_EVERY_S = 0.5


@contextmanager
def stop_on_signal(tell: Callable[[], bool], say: Callable[[str], None]) -> Iterator[threading.Event]:
    """Turn the first SIGTERM or SIGINT into an event; KeyboardInterrupt follows on a second one, or after `GRACE_S`.

    Outside of the main thread, which alone receives signals, nothing is changed.

    Args:
        tell: called in a thread after the first signal; returns False where no training would see the event, and
            KeyboardInterrupt then follows at once.
        say: told that the state is going to be saved.
    """
    asked, over = threading.Event(), threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    def watch() -> None:
        asked.wait()
        if over.is_set():
            return
        say("asked to stop: the state is saved after this step (asked once more: nothing is saved)")
        if not (tell() and over.wait(GRACE_S)) and not over.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield asked
    finally:
        over.set()
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        asked.set()  # lets the watcher end
        watcher.join()


@ray.remote(num_cpus=0)
class StopFlag:
    """A flag by which the driver tells the workers on all nodes to stop."""

    def __init__(self) -> None:
        self.stopped = self.asked = False

    def stop(self) -> bool:
        """Set the flag; returns whether a worker has ever asked for it."""
        self.stopped = True
        return self.asked

    def is_stopped(self) -> bool:
        self.asked = True
        return self.stopped


def told_to_stop(flag: Any) -> bool:
    """Set a StopFlag; returns whether a worker has ever asked for it."""
    try:
        return bool(ray.get(flag.stop.remote(), timeout=GRACE_S))
    except RayError:
        return False


@contextmanager
def asking(flag: Any) -> Iterator[Callable[[], bool]]:
    """A context in a worker; yields a quick answer to whether the driver has set the flag, asked for in a thread."""
    stopped, over = threading.Event(), threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                if ray.get(flag.is_stopped.remote()):
                    stopped.set()
                    return
            except RayError:
                return  # the driver is gone, and Ray ends its workers
            over.wait(ASK_EVERY_S)

    asker = threading.Thread(target=ask, daemon=True)
    asker.start()
    try:
        yield stopped.is_set
    finally:
        over.set()
        asker.join()
