"""How far something long has come: a line every half minute."""

import time
from collections.abc import Callable

INTERVAL_S = 30.0

Tell = Callable[[str], None]
"""Takes a line that says how far something is; called far more often than anybody wants to read."""


TellDone = Callable[[int, int], None]
"""(what is done, all of it)"""


def untold_done(done: int, total: int) -> None:
    """Progress that nobody asked for."""


def untold(line: str) -> None:
    """Progress that nobody asked for."""


def paced(tell: Tell, interval_s: float = INTERVAL_S) -> Tell:
    """Passes a line on where the last one, or the beginning, is at least so many seconds ago."""
    last_s = time.monotonic()

    def tell_in_time(line: str) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= interval_s:
            tell(line)
            last_s = time.monotonic()

    return tell_in_time


def duration_text(seconds: float) -> str:
    """`45s`, `17m`, `2h05m`, `3d04h`: as much as one wants to know."""
    if seconds < 59.5:
        return f"{seconds:.0f}s"
    minutes = round(seconds / 60)
    hours = minutes // 60
    if hours >= 48:
        return f"{hours // 24}d{hours % 24:02d}h"
    return f"{hours}h{minutes % 60:02d}m" if hours else f"{minutes}m"
