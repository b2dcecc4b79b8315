"""Recognised words as people write them: capital letters and digits, as far as they are certain."""

import re

from ds2ray.wording.library import cardinal, require_language

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_VALUES = {
    **{word: value for value, word in enumerate(_SMALL.split())},
    **{word: 20 + 10 * place for place, word in enumerate(_TENS.split())},
}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_NUMBER_WORDS = frozenset({*_VALUES, *_SCALES, "hundred"})
_LEAST = 10
"""Smaller numbers stay words, as is usual in print: `one` is often no number at all."""
_I = re.compile(r"\bi\b(?!\.)")
_NEAR = (
    "point minus oh half quarter first second third fourth fifth sixth seventh eighth ninth hundredth thousandth "
    "thirds fourths fifths sixths sevenths eighths ninths tenth tenths hundredths"
)
_NEAR_A_NUMBER = frozenset(_NEAR.split())
"""Words beside which a number may be a part of something else: a time, a decimal, a fraction."""


def displayed(text: str, language: str) -> str:
    """A recognised text for people to read.

    English gets a capital letter at its beginning and for `I`, and digits for whole numbers from 10 on that are spelt
    out in full, as in `one hundred and five`. What may be a year, a time or digits one by one stays in words; so does
    all of any other language, but for the capital letter at the beginning where its script has them.

    Args:
        language: as num2words names it.

    Raises:
        ConfigError: the language is not known, or num2words is not installed.
    """
    require_language(language)
    if re.split("[-_]", language)[0] == "en":
        text = _I.sub("I", _with_digits(text.split(" ")))
    return text[:1].upper() + text[1:] if len(text[:1].upper()) == 1 else text


def _with_digits(words: list[str]) -> str:
    shown: list[str] = []
    start = 0
    while start < len(words):
        end = start
        while end < len(words) and (_is_number(words[end]) or (end > start and _joins(words, end))):
            end += 1
        if end == start:
            shown.append(words[start])
            start += 1
            continue
        beside = {*words[max(0, start - 1) : start], *words[end : end + 1]}
        number = None if beside & _NEAR_A_NUMBER else _whole_number(words[start:end])
        shown += words[start:end] if number is None or number < _LEAST else [f"{number:,}"]
        start = end
    return " ".join(shown)


def _is_number(word: str) -> bool:
    return all(part in _NUMBER_WORDS for part in word.lower().split("-"))


def _joins(words: list[str], place: int) -> bool:
    """Whether an `and` stands between two words of numbers."""
    return words[place].lower() == "and" and place + 1 < len(words) and _is_number(words[place + 1])


def _whole_number(words: list[str]) -> int | None:
    """The number that these words are, if they are exactly how one number is counted."""
    spoken = [part for word in words for part in word.lower().split("-")]
    total = part = 0
    for word in spoken:
        if word == "hundred":
            part *= 100
        elif word in _SCALES:
            total, part = total + part * _SCALES[word], 0
        elif word != "and":
            part += _VALUES[word]
    number = total + part
    if 2000 <= number < 2100:  # most likely a year
        return None
    said = cardinal(number, "en").replace("-", " ").split()
    with_and = spoken == said
    without = "and" not in spoken and spoken == [word for word in said if word != "and"]
    return number if with_and or without else None
