"""Progress as a display shows it, and the methods of every display."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import RenderableType

Drawn = Callable[[int], "RenderableType"]
"""Takes the number of columns; returns a table that fits them."""


@dataclass(frozen=True)
class Doing:
    """The progress of a job at a moment.

    Attributes:
        phase: the current work in a few words: `starting Ray`.
        facts: numbers that tell how far the work is: `3/8 users`, `eta 2m`.
        share: share of the work that is done, 0 to 1; None where it is not known.
    """

    phase: str
    facts: tuple[str, ...] = ()
    share: float | None = None

    def line(self) -> str:
        """`training · 3/8 users · eta 2m`."""
        return " · ".join((self.phase, *self.facts))


class Display(Protocol):
    """A display: it prints lines and tables that stay, and shows progress."""

    live: bool

    def say(self, line: str) -> None: ...
    def show(self, drawn: Drawn) -> None: ...
    def doing(self, now: Doing, every_s: float) -> None: ...
    def close(self) -> None: ...
