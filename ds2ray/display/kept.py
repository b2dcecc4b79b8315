"""The lines that a job has printed, kept within bounds for whoever reads them when the job is gone."""

import threading
import time
from collections import deque
from collections.abc import Callable

FIRST_CHARACTERS = 1 << 17
LAST_CHARACTERS = 1 << 19
"""Of the beginning and of the end of a log, about so much is kept."""

LONGEST_LINE = 4000


class KeptLines:
    """The first and the last lines, each with the time, UTC, at which it was printed.

    Args:
        first, last: characters of the beginning and of the end that are kept, about.
        now: seconds since 1970.
    """

    def __init__(
        self, first: int = FIRST_CHARACTERS, last: int = LAST_CHARACTERS, now: Callable[[], float] = time.time
    ) -> None:
        self._now = now
        self._room, self._most = first, last
        self._first: list[str] = []
        self._last: deque[str] = deque()
        self._size = self._left_out = 0
        self._lock = threading.Lock()

    def add(self, text: str) -> None:
        """Keep one or several lines; the oldest of the end go where there is no room for all."""
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self._now()))
        with self._lock:
            for line in text.splitlines() or [""]:
                self._add(f"{at} {line[:LONGEST_LINE].rstrip()}".rstrip())

    def _add(self, line: str) -> None:
        if self._room > 0:
            self._first.append(line)
            self._room -= len(line) + 1
            return
        self._last.append(line)
        self._size += len(line) + 1
        while self._size > self._most and len(self._last) > 1:
            self._size -= len(self._last.popleft()) + 1
            self._left_out += 1

    def text(self) -> str:
        """All lines that are kept; one in the place of those that are not."""
        with self._lock:
            gap = [f"… {self._left_out} lines are left out …"] if self._left_out else []
            return "\n".join([*self._first, *gap, *self._last, ""])
