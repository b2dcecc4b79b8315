"""The project's pages, and the blocks, commands, settings and links that stand in them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCED = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\((?!https?://)([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_SETTING = re.compile(r"[a-z_]+(\.[a-z_]+)*=\S*")


@dataclass(frozen=True)
class Block:
    """A fenced block; `language` is empty where none is named."""

    page: Path
    line: int  # of the opening fence, from 1
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, match.start()) + 1, match["language"], match["text"])
        for match in _FENCED.finditer(text)
    ]


def commands(text: str) -> list[list[str]]:
    """The commands of a bash block as a shell splits them, without comments."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def inline_code(page: Path) -> list[str]:
    """The texts between backquotes outside of fenced blocks."""
    return _INLINE.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))


def inline_settings(page: Path) -> list[list[str]]:
    """The pieces of inline code that are overrides of settings, each split into its overrides."""
    split = (code.split() for code in inline_code(page))
    return [words for words in split if all(_SETTING.fullmatch(word) for word in words)]


def links(page: Path) -> list[str]:
    """The links of a page within the project, as `path` or `path#heading`, relative to the page."""
    return _LINK.findall(page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The names by which a page's headings are linked to."""
    headings = _HEADING.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def make_targets() -> set[str]:
    """The targets of the Makefile that are commands."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
