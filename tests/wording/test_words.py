"""Languages without rules of their own, the library, and text that needs nothing."""

import sys

import pytest
from num2words import CONVERTER_CLASSES

from ds2ray.errors import ConfigError
from ds2ray.wording import library
from ds2ray.wording.rules import Wording
from ds2ray.wording.words import in_words, raised_digits


@pytest.mark.parametrize("language", sorted(CONVERTER_CLASSES))
def test_every_language_of_the_library_says_a_number_or_tells_why_not(language: str) -> None:
    wording = in_words("7", language)
    assert bool(wording.doubts) == ("7" in wording.text)


@pytest.mark.parametrize(
    ("language", "written", "said"),
    [
        ("de", "ich habe 25 Katzen", "ich habe fünfundzwanzig Katzen"),
        ("fr", "en 1984", "en mille neuf cent quatre-vingt-quatre"),
        ("pt-BR", "tenho 25 anos", "tenho vinte e cinco anos"),
        ("ru", "мне 25 лет", "мне двадцать пять лет"),
        ("ar", "عندي ٣ كتب", "عندي ثلاثة كتب"),
    ],
)
def test_whole_numbers_as_a_language_counts(language: str, written: str, said: str) -> None:
    assert in_words(written, language) == Wording(said)


@pytest.mark.parametrize(
    ("language", "written", "why"),
    [
        ("de", "1 Haus", "gender"),
        ("es", "200 casas", "gender"),
        ("de", "1984", "a year, a count"),
        ("de", "2,5 Liter", "several ways"),
        ("de", "5%", "several ways"),
        ("fr", "10 000", "side by side"),
        ("ru", "hello 5", "not written in the letters of text.language=ru"),
    ],
)
def test_what_is_not_certain_is_told(language: str, written: str, why: str) -> None:
    wording = in_words(written, language)
    assert wording.text == written
    assert why in wording.doubts[0]


def test_raised_digits_are_no_digits() -> None:
    assert raised_digits("5 m² and ½") == ("'²' may be said in several ways", "'½' may be said in several ways")


def test_an_unknown_language_is_told_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match=r"text.language='xx': num2words does not know .* en, .* ko, "):
        library.require_language("xx")


def test_without_the_library_only_text_with_numbers_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "num2words", None)
    assert in_words("nothing to say", "en") == Wording("nothing to say")
    with pytest.raises(ConfigError, match=r"install the extra, ds2ray\[text\]"):
        in_words("77 things", "en")
