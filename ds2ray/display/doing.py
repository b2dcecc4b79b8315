"""What a display shows, and what any display can do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import RenderableType

Drawn = Callable[[int], "RenderableType"]
"""Columns that there are → what is shown in them."""


@dataclass(frozen=True)
class Doing:
    """What is going on.

    Attributes:
        phase: in a few words: `starting Ray`.
        facts: how far it is: `3/8 users`, `eta 2m`.
        share: of the work that is done, 0 to 1; None where nobody knows.
    """

    phase: str
    facts: tuple[str, ...] = ()
    share: float | None = None

    def line(self) -> str:
        """`training · 3/8 users · eta 2m`."""
        return " · ".join((self.phase, *self.facts))


class Display(Protocol):
    """Where a job's words go."""

    live: bool

    def say(self, line: str) -> None: ...
    def show(self, drawn: Drawn) -> None: ...
    def doing(self, now: Doing, every_s: float) -> None: ...
    def close(self) -> None: ...
