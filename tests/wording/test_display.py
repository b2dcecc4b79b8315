"""Recognised words with capital letters and digits, where these are certain."""

import pytest

from ds2ray.errors import ConfigError
from ds2ray.wording.display import displayed


@pytest.mark.parametrize(
    ("language", "recognised", "shown"),
    [
        ("en", "i think i'm twenty five", "I think I'm 25"),
        ("en", "one hundred and five or one hundred five", "105 or 105"),
        ("en", "two million three hundred thousand people", "2,300,000 people"),
        ("en", "one of us saw two", "One of us saw two"),
        ("en", "nineteen eighty four", "Nineteen eighty four"),
        ("en", "in two thousand and five", "In two thousand and five"),
        ("en", "at seven thirty", "At seven thirty"),
        ("en", "the twenty first", "The twenty first"),
        ("en", "twenty point five", "Twenty point five"),
        ("en", "between one hundred and two hundred", "Between one hundred and two hundred"),
        ("en", "", ""),
        ("ko", "이십오 층", "이십오 층"),
        ("fr", "il a vingt ans", "Il a vingt ans"),
    ],
)
def test_shows_what_is_certain(language: str, recognised: str, shown: str) -> None:
    assert displayed(recognised, language) == shown


def test_an_unknown_language_is_told() -> None:
    with pytest.raises(ConfigError, match="text.language='xx'"):
        displayed("hello", "xx")
