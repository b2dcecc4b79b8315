"""Transcripts with their numbers, dates, units and abbreviations in words."""

import re
import unicodedata
from functools import cache, lru_cache

from ds2ray.wording import counting, english, korean
from ds2ray.wording.library import cardinal, require_language
from ds2ray.wording.rules import Rule, Wording, applied

_DIGITS_AND_SIGNS = re.compile(r"[\d%‰#@&§°±×÷=+$€£¥₩¢₹]")
_REMEMBERED = 2**15  # transcripts: those of an epoch of a small corpus
_JAPANESE = frozenset({"CJK", "HIRAGANA", "KATAKANA"})
_WORD = re.compile(r"[^\W\d_]{2,}")


@lru_cache(maxsize=_REMEMBERED)
def in_words(text: str, language: str) -> Wording:
    """A transcript in words, as it is said; what is not certain stays as it is, with its reason.

    English and Korean have rules of their own; of other languages only whole numbers are certain, in the form in which
    one counts. Text without digits, signs and abbreviations is not looked at.

    Args:
        text: in Unicode's composed or compatible form, with its capital letters, which tell names.
        language: as num2words names it, `en`, `ko`, `pt_BR`.

    Raises:
        ConfigError: the language is not known, or num2words is not installed.
    """
    if not _DIGITS_AND_SIGNS.search(text) and not (_is_english(language) and english.ABBREVIATED.search(text)):
        return Wording(text)
    require_language(language)
    if not _is_written_in(text, language):
        return Wording(text, (f"the transcript is not written in the letters of text.language={language}",))
    ascii_digits = "".join(
        str(unicodedata.digit(character)) if character.isdecimal() else character for character in text
    )
    wording = applied(_rules(language), ascii_digits)
    in_capitals = text.isupper() and _WORD.search(text)
    return Wording(wording.text.upper(), wording.doubts) if in_capitals and wording.text != text else wording


def raised_digits(transcript: str) -> tuple[str, ...]:
    """Doubts about characters such as ² and ½, which Unicode's compatible form makes ordinary digits of."""
    found = dict.fromkeys(c for c in transcript if unicodedata.category(c) == "No")
    return tuple(f"{character!r} may be said in several ways" for character in found)


def _rules(language: str) -> tuple[Rule, ...]:
    if _is_english(language):
        return english.RULES
    return korean.RULES if language == "ko" else counting.rules(language)


def _is_english(language: str) -> bool:
    return re.split("[-_]", language)[0] == "en"


def _is_written_in(text: str, language: str) -> bool:
    """Whether the words of a transcript, if it has any, have letters of the language's script."""
    words = _WORD.findall(re.sub(r"\S*\d\S*", " ", text))
    return not words or any(_script(word[0]) in _scripts(language) for word in words)


@cache
def _scripts(language: str) -> frozenset[str]:
    """The scripts of a language, by the words with which it counts."""
    found = {_script(letter) for number in range(2, 10) for letter in cardinal(number, language) if letter.isalpha()}
    return frozenset(found) | (_JAPANESE if found & _JAPANESE else frozenset())


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ")[0].split("-")[0]
