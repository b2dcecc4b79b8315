"""Titles of tables as lines of their own: a table breaks its title at its own width, which may be a few words wide."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Group, RenderableType


def titled(title: str, *below: "RenderableType") -> "Group":
    """A title above a table and whatever is below it, broken at the width of the terminal alone."""
    from rich.console import Group
    from rich.text import Text

    return Group(Text(title, style="italic"), *below)
