"""A stop that loses nothing: SIGTERM or Ctrl-C becomes a question that training asks after each step."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_S = 25.0
"""Seconds that saving a state may take: Kubernetes ends a pod 30 seconds after SIGTERM."""


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
