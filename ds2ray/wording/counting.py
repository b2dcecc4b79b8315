"""Whole numbers in words as a language counts, for all languages without rules of their own."""

import re
import unicodedata
from collections.abc import Callable
from functools import cache

from ds2ray.wording.library import cardinal, year
from ds2ray.wording.rules import END, LEFT_OVER, START, Rule, UncertainError, doubt, rule

_ONE_AT_THE_END: Callable[[int], bool] = lambda number: number % 10 == 1 and number % 100 != 11  # noqa: E731
_HUNDREDS: Callable[[int], bool] = lambda number: number % 1000 >= 200  # noqa: E731

AGREES: dict[str, Callable[[int], bool]] = {
    "de": lambda number: number % 100 == 1,
    "nl": lambda number: False,
    "sv": _ONE_AT_THE_END,
    "no": _ONE_AT_THE_END,
    "da": lambda number: number == 1,
    "fr": lambda number: number % 10 == 1 and number % 100 not in (11, 71, 91),
    "es": lambda number: _ONE_AT_THE_END(number) or _HUNDREDS(number),
    "it": lambda number: number == 1,
    "pt": lambda number: (number % 10 in (1, 2) and number % 100 not in (11, 12)) or _HUNDREDS(number),
    "ca": lambda number: (number % 10 in (1, 2) and number % 100 not in (11, 12)) or _HUNDREDS(number),
}
"""Numbers whose words change with the gender of what is counted, by the language without its country."""


@cache
def rules(language: str) -> tuple[Rule, ...]:
    """The rules of a language: numbers of up to three digits, and thousands, where the library's words are letters."""

    def say(match: re.Match[str]) -> str:
        number = int(match[0])
        if len(match[0]) > 1 and match[0].startswith("0"):
            raise UncertainError("begins with a zero, and may be said digit by digit")
        agrees = AGREES.get(re.split("[-_]", language)[0])
        if agrees and agrees(number):
            raise UncertainError("changes with the gender of what is counted")
        if number >= 1000 and number % 1000 and not (number < 10_000 and _year_is_a_count(number, language)):
            raise UncertainError("may be a year, a count, or digits one by one")
        said = cardinal(number, language)
        if not _is_words(said):
            raise UncertainError(f"is {said!r} to the library, which is no word")
        return said

    return (
        doubt(rf"{START}\d[\d.,]*(?: \d[\d.,]*)+{END}", "are numbers side by side, which are said in several ways"),
        rule(rf"{START}\d+{END}", say),
        *LEFT_OVER,
    )


def _year_is_a_count(number: int, language: str) -> bool:
    try:
        return year(number, language) == cardinal(number, language)
    except ValueError:
        return False


def _is_words(said: str) -> bool:
    """Whether there are letters with their marks, joined by spaces, hyphens and apostrophes, and nothing else."""
    kinds = {unicodedata.category(character)[0] for character in said if character not in " -'’\u200c\u200d"}
    return kinds <= {"L", "M"} and "L" in kinds
