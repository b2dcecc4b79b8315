"""The one place where requests are sent again: a server's outage is waited for, by all threads of a process together.

No library has this: each request of its own repeats an error that passes, with growing pauses drawn by chance; but
where a server answers nobody, one request of the process at a time asks it, and all others wait for what it finds out.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ds2ray import display
from ds2ray.progress import duration_text
from ds2ray.storage.outages.passing import is_expired, is_passing
from ds2ray.storage.traffic import count

T = TypeVar("T")

FIRST_ANSWER_S = 8.0
"""Seconds that are waited for the first answer of a server at most: until then its address may be wrong."""

STOPPING_S = 3.0
"""Seconds that a job waits for an answer at most after it was asked to stop."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
"""Pause after the first failure, and the longest one; each doubles the one before, and half of it is chance."""

DOWN_FROM = 3
"""Failures without an answer in between, of all requests of a process, from which the server is taken to be down."""

RENEWALS = 2
"""Times that a request is sent again with credentials that were asked for anew."""

TOLD_AFTER_S = 3.0
"""Seconds after which an outage is told."""


class Line:
    """The line of this process to a server.

    Args:
        name: of the server, in messages.
        answered: whether the server is known to answer, so that its silence is an outage and not a wrong address.
    """

    def __init__(self, name: str, answered: bool = False) -> None:
        self.name = name
        self.answered = answered
        self.tags_are_md5 = True  # until the server shows that they are not
        self._failures = 0
        self._silent_since_s = 0.0  # of this process's clock: the first of these failures
        self._next_probe_s = 0.0
        self._last_error: Exception = ConnectionError("no answer")
        self._told = False
        self._state = threading.Lock()
        self._probing = threading.Lock()

    def outlast(self, request: Callable[[], T], outage_s: float, renew: Callable[[], None] = lambda: None) -> T:
        """The result of the request, which is sent again as long as it fails by what passes, for `outage_s` at most.

        Args:
            renew: asks for credentials anew, after an answer that they have expired.

        Raises:
            Exception: that of the last attempt.
        """
        tries, renewals, failing_since_s = 0, 0, 0.0
        while True:
            try:
                with self._turn(self._limit_s(outage_s)):
                    count(requests=1, retries=int(tries + renewals > 0))
                    result = request()
            except Exception as error:
                if is_expired(error) and renewals < RENEWALS:
                    renewals += 1
                    time.sleep(_pause_s(renewals))
                    renew()
                    continue
                if not is_passing(error):
                    self._answers()
                    raise
                tries += 1
                failing_since_s = failing_since_s or time.monotonic()
                limit_s = self._limit_s(outage_s)
                if max(self._fails(error, limit_s), time.monotonic() - failing_since_s) >= limit_s:
                    raise
                if not self._is_down():
                    time.sleep(_pause_s(tries))
                continue
            self._answers()
            return result

    def _limit_s(self, outage_s: float) -> float:
        if display.is_stopping():
            return min(outage_s, STOPPING_S)
        return outage_s if self.answered else min(outage_s, FIRST_ANSWER_S)

    def _is_down(self) -> bool:
        return self._failures >= DOWN_FROM

    @contextmanager
    def _turn(self, limit_s: float) -> Iterator[None]:
        """A context for one attempt: at once while the server answers, else when it is this request's turn to ask."""
        if not self._is_down():
            yield
            return
        if not self._probing.acquire(timeout=limit_s):
            raise ConnectionError(f"no answer for {duration_text(limit_s)}: {self._last_error}") from self._last_error
        try:
            if self._is_down():
                time.sleep(0.0 if display.is_stopping() else max(0.0, self._next_probe_s - time.monotonic()))
                yield
                return
        finally:
            self._probing.release()
        yield  # it answers again: all go on at once

    def _answers(self) -> None:
        with self._state:
            self.answered = True
            if not self._failures:
                return
            told, silent_s = self._told, time.monotonic() - self._silent_since_s
            self._failures, self._told = 0, False
        if told:
            display.say(f"{self.name} answers again, after {duration_text(silent_s)}")

    def _fails(self, error: Exception, limit_s: float) -> float:
        """Count a failure; returns the seconds for which nobody has had an answer."""
        now_s = time.monotonic()
        with self._state:
            if not self._failures:
                self._silent_since_s = now_s
            self._failures += 1
            self._last_error = error
            self._next_probe_s = now_s + _pause_s(self._failures)
            silent_s = now_s - self._silent_since_s
            tell = self._is_down() and self.answered and silent_s >= TOLD_AFTER_S and not self._told
            self._told = self._told or tell
        since = time.strftime("%H:%M:%S", time.localtime(time.time() - silent_s))
        if tell:
            display.say(
                f"{self.name} has not answered since {since} ({error}); waiting {duration_text(limit_s)} for it"
            )
        if self._told:
            display.doing("waiting for the store", f"no answer from {self.name} since {since}")
        return silent_s


def _pause_s(number: int) -> float:
    longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(number - 1, 16))
    return longest_s * random.uniform(0.5, 1.0)
