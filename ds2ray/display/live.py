"""The live display of a terminal: what is going on, at the bottom, below the lines that stay."""

import sys
import threading
import time
from typing import TextIO, cast

from rich.console import Console, ConsoleRenderable, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ds2ray.display.doing import LOG_WIDTH, Doing, Drawn
from ds2ray.display.streams import Surviving, is_terminal
from ds2ray.progress import duration_text

REFRESHES_PER_S = 8
BAR_WIDTH = 30
BAR_FROM = 72
"""Columns from which there is room for a bar."""


class _Console(Console):
    """A console that leaves the cursor as it is: however the process ends, the terminal has one."""

    def show_cursor(self, show: bool = True) -> bool:
        return False


class LiveDisplay:
    """Lines that stay, and below them what is going on.

    Args:
        stream: the terminal.
    """

    live = True

    def __init__(self, stream: TextIO) -> None:
        # lines belong to stdout, wherever the display is
        self.stdout, self.on_stdout = sys.stdout, stream is sys.stdout
        # forced: FORCE_COLOR and the like would speak for any stream
        terminal = cast(TextIO, Surviving(stream))
        self.console = _Console(file=terminal, force_terminal=True, force_interactive=True)
        self.spinner = Spinner("dots" if self.console.encoding.startswith("utf") else "line", style="cyan")
        self.now = Doing("")
        self.since_s = time.monotonic()
        self.lock = threading.RLock()  # a signal handler may come upon its own thread
        self.running: Live | None = None

    def say(self, line: str) -> None:
        if self.on_stdout:
            self.console.print(Text(line), soft_wrap=True)
        else:
            print(line, file=Surviving(self.stdout), flush=True)

    def show(self, drawn: Drawn) -> None:
        if self.on_stdout:
            self.console.print(drawn(self.console.width))
        else:
            Console(file=cast(TextIO, Surviving(self.stdout)), width=LOG_WIDTH).print(drawn(LOG_WIDTH))

    def doing(self, now: Doing, every_s: float) -> None:
        if self.now.phase != now.phase:
            self.since_s = time.monotonic()
        self.now = now
        with self.lock:
            if self.running is None:
                self.running = Live(
                    get_renderable=self.drawn,
                    console=self.console,
                    refresh_per_second=REFRESHES_PER_S,
                    transient=True,
                    # what others print, Ray for one, appears above
                    redirect_stdout=self.on_stdout,
                    redirect_stderr=is_terminal(sys.stderr),
                )
                self.running.start()

    def close(self) -> None:
        """Take the display away; lines stay."""
        with self.lock:
            running, self.running = self.running, None
        if running is not None:
            running.stop()

    def drawn(self) -> RenderableType:
        """Phase, time and bar in a line, facts in those below."""
        now = self.now
        head = Table.grid(padding=(0, 1))
        time_of_phase = Text(duration_text(time.monotonic() - self.since_s), "dim")
        cells: list[ConsoleRenderable] = [self.spinner, Text(now.phase, "bold"), time_of_phase]
        if now.share is not None and self.console.width >= BAR_FROM:
            cells += [ProgressBar(1.0, now.share, BAR_WIDTH), Text(f"{now.share:.0%}")]
        head.add_row(*cells)
        if not now.facts:
            return head
        facts = Table.grid(padding=(0, 1))
        facts.add_row(" ", Text(" · ".join(now.facts)))
        return Group(head, facts)
