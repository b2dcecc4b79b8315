"""Jobs on a real pseudo-terminal, and what a person would see on its screen."""

import fcntl
import functools
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyte
from warm_jobs import WarmJob

ROOT = Path(__file__).resolve().parents[2]
INTERRUPT, SUSPEND = "\x03", "\x1a"
"""The characters that Ctrl-C and Ctrl-Z send."""

DRAWING = re.compile(r"\x1b\[[0-9;]*[ABCDHJK]|\x1b\[\?25[lh]")
"""Escape sequences that move the cursor, erase, or hide the cursor."""


class Terminal:
    """A terminal that a program of one's own runs on, and all that it has written there.

    Args:
        argv: the program; it leads a session and a foreground process group, as a shell's job does.
        streams: of stdin, stdout and stderr those that are the terminal; the others are empty or go to files.
        folder: for those files, and the program's working directory.
        warm: whether the program is a job that begins with the heavy libraries imported; see `WarmJob`.
    """

    def __init__(
        self,
        argv: Sequence[str],
        folder: Path,
        *,
        columns: int = 80,
        lines: int = 24,
        streams: Sequence[int] = (0, 1, 2),
        environment: Mapping[str, str] | None = None,
        warm: bool = False,
    ) -> None:
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.written = b""
        self.folder = folder
        self.master, slave = pty.openpty()
        self.resize(columns, lines)
        files = [os.open(os.devnull, os.O_RDONLY), *(os.open(self._path(n), os.O_CREAT | os.O_WRONLY) for n in (1, 2))]
        chosen = [slave if number in streams else files[number] for number in range(3)]
        plain = {"TERM": "xterm-256color", "CI": "", "NO_COLOR": "", "COLUMNS": "", "LINES": "", "PAGER": ""}
        inherited = {name: value for name, value in os.environ.items() if name not in plain}
        options: dict[str, Any] = dict(zip(("stdin", "stdout", "stderr"), chosen, strict=True))
        options |= {"env": {**inherited, "TERM": "xterm-256color", **(environment or {})}, "cwd": folder}
        if warm:
            self.process: subprocess.Popen[Any] = WarmJob(argv, terminal=slave, **options)
        else:
            take_over = functools.partial(_take_over, slave)
            self.process = subprocess.Popen(argv, start_new_session=True, preexec_fn=take_over, **options)
        for descriptor in (slave, *files):
            os.close(descriptor)

    def _path(self, number: int) -> Path:
        return self.folder / f"stream-{number}"

    def file(self, number: int) -> str:
        """The output to stdout (1) or stderr (2) where that is not the terminal."""
        return self._path(number).read_text(encoding="utf-8")

    def type(self, keys: str) -> None:
        """Type keys: control characters become signals, as on any terminal."""
        os.write(self.master, keys.encode())

    def resize(self, columns: int, lines: int = 24) -> None:
        """Draw the window larger or smaller: the program receives SIGWINCH."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def read(self, seconds: float = 0.1) -> bool:
        """Take up what is written within so many seconds; False at the end."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:  # Linux's way to say that nobody has the terminal open any more
            return False
        self.written += data
        self.stream.feed(data)
        return bool(data)

    def wait_for(self, condition: Callable[[], bool], within_s: float = 120.0) -> None:
        """Go on reading until the condition holds. Raises AssertionError where the program ends before, or too late."""
        ends_s = time.monotonic() + within_s
        while not condition():
            assert self.read(), f"it ended before:\n{self.shown()}"
            assert time.monotonic() < ends_s, f"not within {within_s} s:\n{self.shown()}"

    def wait_for_text(self, text: str, within_s: float = 120.0) -> None:
        """Until the screen shows it."""
        self.wait_for(lambda: text in self.shown(), within_s)

    def finish(self, within_s: float = 240.0) -> int:
        """Read to the program's end; its exit code."""
        ends_s = time.monotonic() + within_s
        while self.process.poll() is None or self.read(0.2):
            if not self.read(0.2):  # nothing of a running program is on the terminal
                time.sleep(0.05)
            assert time.monotonic() < ends_s, f"not ended within {within_s} s:\n{self.shown()}"
            if self.process.poll() is not None and not select.select([self.master], [], [], 0.5)[0]:
                break
        return self.process.wait()

    def shown(self) -> str:
        """The screen as it is now."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def text(self) -> str:
        """All output, with its escape sequences."""
        return self.written.decode(errors="replace")

    def lines(self) -> list[str]:
        """The lines that the program has left, as on a window that was always too wide to break them."""
        wide = pyte.Screen(300, 300)
        pyte.ByteStream(wide).feed(self.written)
        return [line.rstrip() for line in wide.display if line.strip()]

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self.master)
        self.master = -1

    def close(self) -> None:
        """End what still runs there."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self.master >= 0:
            os.close(self.master)


def _take_over(slave: int) -> None:
    """In the program's process: the terminal becomes the one that controls it."""
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def terminal(argv: Sequence[str], folder: Path, **options: object) -> Iterator[Terminal]:
    """A terminal with a program on it, until the end of the context."""
    opened = Terminal(argv, folder, **options)  # type: ignore[arg-type]
    try:
        yield opened
    finally:
        opened.close()


def job(name: str, *argv: str) -> list[str]:
    """The command of a job."""
    return [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *argv]


def check_left_alone(window: Terminal) -> None:
    """The terminal is as a person wants it back: with a cursor, and without a trace on it."""
    assert not window.screen.cursor.hidden
    assert "Traceback" not in window.text()
    assert "cannot pickle" not in window.text()
