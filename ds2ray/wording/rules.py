"""Rules that turn parts of a transcript into words, and the parts of which no rule is certain."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

FIRST_HELD = 0xF0000  # private use: stand for parts that are held back while rules go on
MAX_HELD = 0xFFFD

START = r"(?<![^\s(\[\"'“‘])"
"""Before a number that stands by itself: nothing, a space, an opening bracket or quote."""
END = r"(?=[.,;:!?)\]\"'”’…]*(?:\s|$))"
"""After it: nothing or a space, perhaps behind a mark."""


class UncertainError(Exception):
    """A part of a transcript that may be said in several ways; the message says which."""


@dataclass(frozen=True)
class Rule:
    """The words of all parts of a transcript that look alike.

    Attributes:
        pattern: how they look.
        say: their words; raises UncertainError where these are not certain.
    """

    pattern: re.Pattern[str]
    say: Callable[[re.Match[str]], str]


@dataclass(frozen=True)
class Wording:
    """A transcript in words.

    Attributes:
        doubts: the parts that stay as they were, each with the reason.
    """

    text: str
    doubts: tuple[str, ...] = ()


def applied(rules: Iterable[Rule], text: str) -> Wording:
    """A transcript after all rules, one after another: a part that one of them has said is seen by no later one."""
    held: list[str] = []
    doubts: list[str] = []

    def hold(part: str) -> str:
        held.append(part)
        return chr(FIRST_HELD + len(held) - 1)

    def say(rule: Rule, match: re.Match[str]) -> str:
        try:
            return rule.say(match)
        except UncertainError as error:
            doubts.append(f"{match[0].strip()!r} {error}")
        except ValueError as error:
            doubts.append(f"{match[0].strip()!r}: {error}")
        return hold(match[0]) if len(held) < MAX_HELD else match[0]

    for rule in rules:
        text = rule.pattern.sub(lambda match, rule=rule: say(rule, match), text)  # type: ignore[misc]
    for number in range(len(held) - 1, -1, -1):
        text = text.replace(chr(FIRST_HELD + number), held[number])
    return Wording(text, tuple(doubts))


def rule(pattern: str, say: Callable[[re.Match[str]], str], flags: int = re.IGNORECASE) -> Rule:
    """A rule by the text of its pattern."""
    return Rule(re.compile(pattern, flags), say)


def doubt(pattern: str, reason: str, flags: int = re.IGNORECASE) -> Rule:
    """A rule for parts that are never certain."""

    def refuse(match: re.Match[str]) -> str:
        raise UncertainError(reason)

    return Rule(re.compile(pattern, flags), refuse)


LEFT_OVER = (
    doubt(r"[^\W\d_]\S*\d\S*|\d\S*[^\W\d_]\S*", "has digits inside a word"),
    doubt(r"\S*\d\S*", "may be said in several ways"),
    doubt(r"\S*[%‰#@&§°±×÷=+$€£¥₩¢₹]\S*", "has a sign that may be said in several ways"),
)
"""What no other rule has turned into words. Nothing of it may be lost as if it were punctuation."""
