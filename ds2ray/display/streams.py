"""The standard streams of a process: which of them are terminals, and output to a stream that has been closed."""

import errno
import io
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

LOG_WIDTH = 160
"""Columns of a table where the width of a line is not known."""


def make_whole() -> None:
    """Give a process the three streams that it may have been started without (`>&-`), and let them print anything.

    A character that the terminal's encoding lacks is printed as a question mark. Without a file on descriptor 1, the
    file or socket that is opened next would get that number and receive the output.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def terminals() -> list[int]:
    """Descriptors of the process's streams that are a terminal."""
    return [descriptor for descriptor in range(3) if os.isatty(descriptor)]


def send_nowhere(descriptors: Iterable[int]) -> None:
    """Point descriptors at /dev/null: output to a closed terminal is then lost without an error."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)


def live_stream() -> TextIO | None:
    """The terminal for a live display, None where there should be none."""
    plain = os.environ.get("TERM", "") in ("", "dumb", "unknown")
    if plain or os.environ.get("CI", "").lower() not in ("", "0", "false"):
        return None
    if is_terminal(sys.stdout):
        return sys.stdout
    return sys.stderr if is_terminal(sys.stderr) and _is_file(sys.stdout) else None


def columns() -> int:
    """The width of a table in columns: that of the terminal, if one will show it, else LOG_WIDTH."""
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given):
        return int(given)
    if not _is_file(sys.stdout) or is_terminal(sys.stdout):
        for stream in (sys.stdout, sys.stderr, sys.stdin):
            if is_terminal(stream):
                return os.get_terminal_size(stream.fileno()).columns or LOG_WIDTH
    return LOG_WIDTH


def is_terminal(stream: TextIO | None) -> bool:
    """Whether the stream is a terminal; a closed stream is none."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def _is_file(stream: TextIO | None) -> bool:
    """Whether output to the stream goes into a file or to /dev/null, and not to another program."""
    try:
        mode = os.fstat(stream.fileno()).st_mode if stream is not None else 0
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(mode) or stat.S_ISCHR(mode)  # /dev/null is one of the latter


class Surviving:
    """A stream whose reader may leave (`| head`, a closed terminal): later output is then lost without an error."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        with self._surviving():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._surviving():
            self.stream.flush()

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            send_nowhere([self.stream.fileno()])
