"""The display of a job, on the terminal or in the log that it was started from: the only room that prints.

`say` prints a line that stays, `show` a table. `doing` tells the progress: on a terminal one display at the bottom that
is always up to date, in a log a line every half minute.

The display is live where a person can see it: on stdout if that is a terminal, else on stderr if stdout goes into a
file. Where stdout is a pipe, its reader may be using the terminal (`| less`), so there are lines only, as there are
with `TERM=dumb` and with `CI`.
"""

import math
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from ds2ray.display.doing import Display, Doing, Drawn
from ds2ray.display.kept import KeptLines
from ds2ray.display.log import LogDisplay, drawn_text
from ds2ray.display.streams import is_terminal, live_stream
from ds2ray.progress import INTERVAL_S, Tell

_display: Display = LogDisplay()
_asked_to_stop = False
_kept: KeptLines | None = None
_kept_phase = ""


def say(line: str = "") -> None:
    """Print one or several lines that stay. Control characters, which a terminal would obey, are shown as escapes."""
    _keep(visible(line))
    _display.say(visible(line))


def show(drawn: Drawn) -> None:
    """Print a table that fits the terminal, or in a log LOG_WIDTH columns."""
    if _kept is not None:
        _keep(drawn_text(drawn))
    _display.show(drawn)


def page(text: str) -> None:
    """Print a page that was asked for. Raises BrokenPipeError where its reader has left."""
    print(text, flush=True)


def complain(line: str) -> None:
    """Print a line to `sys.stderr` as it is at the time: a live display puts a stream there that prints above it."""
    _keep(visible(line))
    print(visible(line), file=sys.stderr, flush=True)


def doing(phase: str, *facts: str, share: float | None = None, every_s: float = INTERVAL_S) -> None:
    """Tell the progress; may be called far more often than anybody wants to read.

    Args:
        facts, share: see `Doing`.
        every_s: in a log, seconds from the last line to the next.
    """
    global _kept_phase
    now = Doing(phase, tuple(filter(None, facts)), share)
    if phase != _kept_phase:  # of progress, a log that is kept has the beginning of each phase
        _kept_phase = phase
        _keep(visible(now.line()))
    _display.doing(now, every_s)


@contextmanager
def keeping() -> Iterator[KeptLines]:
    """A context in which all lines that are printed are kept, too, tables and the beginnings of phases among them."""
    global _kept, _kept_phase
    before, _kept, _kept_phase = _kept, KeptLines(), ""
    try:
        yield _kept
    finally:
        _kept = before


def _keep(line: str) -> None:
    if _kept is not None:
        _kept.add(line)


def idle() -> None:
    """Take the progress away: only the job's last lines follow."""
    _display.doing(Doing(""), math.inf)


def telling(phase: str) -> Tell:
    """A function that takes a line of progress and tells it as the facts of this phase."""
    return lambda fact: doing(phase, fact)


def ask(question: str) -> bool:
    """Whether the person at the terminal says yes; no where there is none."""
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        return False
    idle()
    say(f"{question} [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def is_live() -> bool:
    """Whether the display is live, so that news every second are seen; a log takes a line every half minute."""
    return _display.live


@contextmanager
def opened() -> Iterator[None]:
    """A context with the display that suits the process's streams."""
    global _display, _asked_to_stop
    _asked_to_stop = False
    before, stream = _display, live_stream()
    if stream is None:
        _display = LogDisplay()
    else:
        from ds2ray.display.live import LiveDisplay

        _display = LiveDisplay(stream)
    try:
        yield
    finally:
        shown, _display = _display, before
        shown.close()


def leave() -> None:
    """Take the display off the terminal for good, for a process that ends without unwinding; lines stay."""
    _display.close()


def stopping() -> None:
    """Note that the job is coming to its end, and on a terminal say so. May be called by a signal handler."""
    global _asked_to_stop
    _asked_to_stop = True
    if _display.live:
        doing("stopping", "what is finished is kept; Ctrl-C again stops at once")


def is_stopping() -> bool:
    """Whether the job was asked to stop: then nobody waits for long."""
    return _asked_to_stop


def visible(text: str) -> str:
    """The text with control characters, which a terminal would obey, as their escapes; lines and tabs stay."""
    hidden = {c for c in text if unicodedata.category(c) == "Cc" and c not in "\n\t"}
    return "".join(c.encode("unicode_escape").decode() if c in hidden else c for c in text) if hidden else text
