"""Subtitles: the words of a hypothesis as lines that can be read while they are spoken, in SubRip and WebVTT.

A subtitle has at most two lines of 42 characters, as the guidelines of Netflix and the BBC have it, stands for 7 s at
most and, where the next one leaves the time, for 1 s at least, and ends at a pause of 1 s. SubRip: the format that VLC
and FFmpeg read; WebVTT: https://www.w3.org/TR/webvtt1/.
"""

import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ds2ray.recognition.hypothesis import Word


LINE_WIDTH = 42
"""Characters of a line; those of Chinese, Japanese and Korean are twice as wide."""
MAX_LINES = 2
MAX_S = 7.0
MIN_S = 1.0
PAUSE_S = 1.0
"""Silence after which a new subtitle begins."""
GAP_S = 0.08
"""Two frames of a film between a subtitle that stands on and the next one."""


_MIN_PIECE = 8  # characters below which a word is not divided, however long it is spoken


@dataclass(frozen=True)
class Cue:
    """One subtitle: its lines, and when it is seen, in seconds."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


def srt(words: Sequence["Word"]) -> str:
    """Words as a SubRip file; empty without words.

    The format has no way to write an arrow of its own, which becomes a shorter one.
    """
    blocks = []
    for number, cue in enumerate(cues(words), start=1):
        times = f"{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}"
        lines = [line.replace("-->", "->") for line in cue.lines]
        blocks.append("\n".join([str(number), times, *lines]) + "\n")
    return "\n".join(blocks)


def vtt(words: Sequence["Word"]) -> str:
    """Words as a WebVTT file, which without words has its heading alone."""
    blocks = ["WEBVTT\n"]
    for cue in cues(words):
        times = f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}"
        lines = [line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in cue.lines]
        blocks.append("\n".join([times, *lines]) + "\n")
    return "\n".join(blocks)


def cues(words: Sequence["Word"]) -> list[Cue]:
    """The subtitles of words, in their order; none overlap."""
    found = [
        Cue(group[0].start_s, max(word.end_s for word in group), tuple(_lines([word.text for word in group])))
        for group in _groups(piece for word in words for piece in _pieces(word))
    ]
    for number, cue in enumerate(found):
        following_s = found[number + 1].start_s if number + 1 < len(found) else math.inf
        longer_s = max(cue.end_s, min(cue.start_s + MIN_S, following_s - GAP_S))
        found[number] = replace(cue, end_s=min(longer_s, max(following_s, cue.start_s)))
    return found


def _groups(words: Iterable["Word"]) -> Iterator[list["Word"]]:
    """Words that are seen at once."""
    group: list[Word] = []
    for word in words:
        if group and not _fits(group, word):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _fits(group: Sequence["Word"], word: "Word") -> bool:
    paused = word.start_s - group[-1].end_s >= PAUSE_S
    too_long = word.end_s - group[0].start_s > MAX_S
    return not paused and not too_long and len(_filled([*(each.text for each in group), word.text])) <= MAX_LINES


def _pieces(word: "Word") -> Iterator["Word"]:
    """A word in pieces that fit a line and are soon enough spoken, as without spaces a sentence is one word.

    Its time is divided among them by their widths.
    """
    whole, length_s = _width(word.text), word.end_s - word.start_s
    parts = max(math.ceil(whole / LINE_WIDTH), min(math.ceil(length_s / MAX_S), whole // _MIN_PIECE))
    if parts <= 1:
        yield word
        return
    done = 0
    for text in _divided(word.text, parts):
        before, done = done, done + _width(text)
        start_s, end_s = (word.start_s + length_s * width / whole for width in (before, done))
        yield replace(word, text=text, start_s=start_s, end_s=end_s)


def _divided(text: str, parts: int) -> list[str]:
    """A text in about so many pieces of like width, none wider than a line; accents stay with their letters."""
    wanted, done = _width(text) / parts, 0
    pieces = [""]
    for character in text:
        width = _width(character)
        is_due = len(pieces) < parts and done + width > wanted * len(pieces)
        if pieces[-1] and width and (is_due or _width(pieces[-1]) + width > LINE_WIDTH):
            pieces.append("")
        pieces[-1] += character
        done += width
    return pieces


def _lines(texts: Sequence[str]) -> list[str]:
    """One line where it suffices, else two that are about equally long."""
    filled = _filled(texts)
    if len(filled) == 1:
        return filled
    halves = [(" ".join(texts[:n]), " ".join(texts[n:])) for n in range(1, len(texts))]
    return list(min(halves, key=lambda pair: max(map(_width, pair))))


def _filled(texts: Sequence[str]) -> list[str]:
    """Lines as full as they can be."""
    lines: list[str] = []
    for text in texts:
        if lines and _width(f"{lines[-1]} {text}") <= LINE_WIDTH:
            lines[-1] += f" {text}"
        else:
            lines.append(text)
    return lines


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _clock(seconds: float, point: str) -> str:
    """`01:02:03,045`, with the point of the format."""
    total_ms = round(seconds * 1000)
    minutes, ms = divmod(total_ms, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{ms // 1000:02d}{point}{ms % 1000:03d}"
