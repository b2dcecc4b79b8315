"""The display of a log, a pipe or a simple terminal: lines only."""

import io
import sys
import time
from dataclasses import dataclass, field
from typing import TextIO, cast

from ds2ray.display.doing import Doing, Drawn
from ds2ray.display.streams import Surviving, columns


@dataclass
class LogDisplay:
    """A display that prints lines to stdout."""

    live: bool = False
    last_s: float = field(default_factory=time.monotonic)

    def say(self, line: str) -> None:
        self.last_s = time.monotonic()
        print(line, file=Surviving(sys.stdout), flush=True)

    def show(self, drawn: Drawn) -> None:
        from rich.console import Console

        console = Console(file=cast(TextIO, Surviving(sys.stdout)), width=columns())
        console.print(drawn(console.width))

    def doing(self, now: Doing, every_s: float) -> None:
        if time.monotonic() - self.last_s >= every_s:
            self.say(now.line())

    def close(self) -> None:
        pass


def drawn_text(drawn: Drawn) -> str:
    """A table as the text that a log has."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=columns())
    console.print(drawn(console.width))
    return cast(io.StringIO, console.file).getvalue().rstrip("\n")
