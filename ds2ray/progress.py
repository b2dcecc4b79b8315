"""The progress of long work: a line every half minute."""

import time
from collections.abc import Callable

INTERVAL_S = 30.0

Tell = Callable[[str], None]
"""Takes a line of progress; called far more often than anybody wants to read."""


TellDone = Callable[[int, int], None]
"""Takes progress as two numbers: items that are done, and all items."""


TellSeconds = Callable[[float, float], None]
"""Takes progress within long items: seconds of audio that are done, and all seconds, 0 where these are not known."""


def untold_seconds(done_s: float, total_s: float) -> None:
    """A `TellSeconds` that drops what it is told."""


def untold_done(done: int, total: int) -> None:
    """A `TellDone` that drops what it is told."""


def untold(line: str) -> None:
    """A `Tell` that drops what it is told."""


def paced(tell: Tell, interval_s: float = INTERVAL_S) -> Tell:
    """A `Tell` that passes on to `tell` one line every `interval_s` seconds, the first one after as long, and drops the
    others."""
    last_s = time.monotonic()

    def tell_in_time(line: str) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= interval_s:
            tell(line)
            last_s = time.monotonic()

    return tell_in_time


def size_text(size_bytes: float) -> str:
    """A size in the unit that suits it: `12 bytes`, `3.4 MB`."""
    if size_bytes < 1000:
        return f"{size_bytes:.0f} bytes"
    for unit in ("KB", "MB"):
        size_bytes /= 1000
        if size_bytes < 1000:
            return f"{size_bytes:.1f} {unit}"
    return f"{size_bytes / 1000:.1f} GB"


def left_text(seconds: float) -> str:
    """A duration that is an estimate: `45s`, `1m20s` to ten seconds, from ten minutes on as `duration_text` has it."""
    tens = round(seconds / 10)
    if seconds < 59.5 or tens >= 60:
        return duration_text(seconds)
    minutes, rest = divmod(tens, 6)
    return f"{minutes}m{rest}0s" if rest else f"{minutes}m"


def duration_text(seconds: float) -> str:
    """A duration in its one or two largest units: `45s`, `17m`, `2h05m`, `3d04h`."""
    if seconds < 59.5:
        return f"{seconds:.0f}s"
    minutes = round(seconds / 60)
    hours = minutes // 60
    if hours >= 48:
        return f"{hours // 24}d{hours % 24:02d}h"
    return f"{hours}h{minutes % 60:02d}m" if hours else f"{minutes}m"
