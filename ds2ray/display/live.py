"""The live display of a terminal: progress at the bottom, below the lines that stay."""

import os
import sys
import threading
import time
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from typing import TextIO, cast

from rich.console import Console, ConsoleDimensions, ConsoleRenderable, Group, RenderableType
from rich.file_proxy import FileProxy
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ds2ray.display.doing import Doing, Drawn
from ds2ray.display.streams import Surviving, columns, is_terminal
from ds2ray.progress import duration_text

REFRESHES_PER_S = 8
BAR_WIDTH = 30
BAR_FROM = 72
"""Columns from which there is room for a bar."""


class _Console(Console):
    """A console that never hides the cursor, so that the terminal still has one however the process ends.

    Its size is that of its own stream at the time; rich would ask the process's other streams first.
    """

    @property  # type: ignore[misc]  # rich lets it be set, too
    def size(self) -> ConsoleDimensions:
        try:
            size = os.get_terminal_size(self.file.fileno())
        except OSError:  # it has been closed
            return ConsoleDimensions(80, 24)
        return ConsoleDimensions(size.columns or 80, size.lines or 24)

    def show_cursor(self, show: bool = True) -> bool:
        return False


class _Above(FileProxy):
    """A stream that replaces stdout or stderr on the terminal: whole lines appear above the display."""

    def __init__(self, console: Console, stream: TextIO, lock: threading.RLock) -> None:
        super().__init__(console, stream)
        self._lock = lock

    def write(self, text: str) -> int:
        with self._lock:
            return super().write(text)

    def flush(self) -> None:
        with self._lock:
            super().flush()


class LiveDisplay:
    """A display with lines that stay, and the progress below them.

    All output takes one lock, since rich would let one thread draw at a cursor that another has moved.

    Args:
        stream: the terminal.
    """

    live = True

    def __init__(self, stream: TextIO) -> None:
        # lines belong to stdout, wherever the display is
        self.stdout, self.on_stdout = sys.stdout, stream is sys.stdout
        # forced, so that variables such as FORCE_COLOR do not decide
        terminal = cast(TextIO, Surviving(stream))
        self.console = _Console(file=terminal, force_terminal=True, force_interactive=True)
        self.spinner = Spinner("dots" if self.console.encoding.startswith("utf") else "line", style="cyan")
        self.now = Doing("")
        self.since_s = time.monotonic()
        self.lock = threading.RLock()  # a signal handler may run in the thread that holds it
        self.ended = threading.Event()
        self.drawing = Live(
            get_renderable=self.drawn,
            console=self.console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.redirected = ExitStack()
        self.refresher: threading.Thread | None = None

    def say(self, line: str) -> None:
        with self.lock:
            if self.on_stdout:
                self.console.print(Text(line), soft_wrap=True)
            else:
                print(line, file=Surviving(self.stdout), flush=True)

    def show(self, drawn: Drawn) -> None:
        with self.lock:
            if self.on_stdout:
                self.console.print(drawn(self.console.width))
            else:
                console = Console(file=cast(TextIO, Surviving(self.stdout)), width=columns())
                console.print(drawn(console.width))

    def doing(self, now: Doing, every_s: float) -> None:
        with self.lock:
            if self.now.phase != now.phase:
                self.since_s = time.monotonic()
            self.now = now
            if self.refresher is None and not self.ended.is_set():
                self._begin()

    def close(self) -> None:
        """Take the display away; lines stay."""
        self.ended.set()
        if self.refresher is None:
            return
        self.refresher.join()
        with self.lock:
            self.drawing.stop()
            self.redirected.close()

    def _begin(self) -> None:
        # output of other code, such as Ray's, appears above
        if self.on_stdout:
            self.redirected.enter_context(redirect_stdout(_Above(self.console, sys.stdout, self.lock)))
        if is_terminal(sys.stderr):
            self.redirected.enter_context(redirect_stderr(_Above(self.console, sys.stderr, self.lock)))
        self.drawing.start()
        self.refresher = threading.Thread(target=self._refresh, daemon=True)
        self.refresher.start()

    def _refresh(self) -> None:
        while not self.ended.wait(1 / REFRESHES_PER_S):
            with self.lock:
                self.drawing.refresh()

    def drawn(self) -> RenderableType:
        """The progress as it is drawn: phase, time and bar in a line, facts in the line below."""
        now = self.now
        if not now.phase:
            return Text()
        head = Table.grid(padding=(0, 1))
        time_of_phase = Text(duration_text(time.monotonic() - self.since_s), "dim")
        cells: list[ConsoleRenderable] = [self.spinner, Text(now.phase, "bold"), time_of_phase]
        if now.share and self.console.width >= BAR_FROM:
            cells += [ProgressBar(1.0, now.share, BAR_WIDTH), Text(f"{now.share:.0%}")]
        head.add_row(*cells)
        if not now.facts:
            return head
        facts = Table.grid(padding=(0, 1))
        facts.add_row(" ", Text(" · ".join(now.facts)))
        return Group(head, facts)
