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
"""How long a state may take to be saved: Kubernetes ends a pod 30 seconds after SIGTERM."""

ASK_EVERY_S = 0.5


@contextmanager
def stop_on_signal(tell: Callable[[], bool], say: Callable[[str], None]) -> Iterator[threading.Event]:
    """Turn the first SIGTERM or SIGINT into an event; a second one, or `GRACE_S` after it, raises KeyboardInterrupt.

    Outside of the main thread, which alone receives signals, nothing is changed.

    Args:
        tell: called in a thread after the first signal; False: nobody is there to stop, so interrupt at once.
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
    """What the driver tells all workers, wherever they run."""

    def __init__(self) -> None:
        self.stopped = self.asked = False

    def stop(self) -> bool:
        """Whether a worker has ever asked."""
        self.stopped = True
        return self.asked

    def is_stopped(self) -> bool:
        self.asked = True
        return self.stopped


def told_to_stop(flag: Any) -> bool:
    """Set a StopFlag; whether a worker has ever asked for it."""
    try:
        return bool(ray.get(flag.stop.remote(), timeout=GRACE_S))
    except RayError:
        return False


@contextmanager
def asking(flag: Any) -> Iterator[Callable[[], bool]]:
    """In a worker: a quick answer to whether the driver wants it to stop."""
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
