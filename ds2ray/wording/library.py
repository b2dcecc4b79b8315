"""Numbers in words, in every language that num2words knows."""

from functools import lru_cache
from types import ModuleType

from ds2ray.errors import ConfigError


def require_language(language: str) -> None:
    """Raise ConfigError where num2words is not installed, or does not know the language."""
    known = sorted(_library().CONVERTER_CLASSES)
    if _code(language) not in known:
        raise ConfigError(
            f"text.language={language!r}: num2words does not know this language; known are {', '.join(known)}"
        )


@lru_cache(maxsize=100_000)
def cardinal(number: int, language: str) -> str:
    """A whole number from 0 on, as one counts: `twenty-one`.

    Raises:
        ConfigError: see `require_language`.
        ValueError: the library has no words for it.
    """
    return _said(number, language, "cardinal")


@lru_cache(maxsize=100_000)
def ordinal(number: int, language: str) -> str:
    """The ordinal of a whole number from 1 on: `twenty-first`. Raises as `cardinal`."""
    return _said(number, language, "ordinal")


@lru_cache(maxsize=10_000)
def year(number: int, language: str) -> str:
    """A year of our era: `nineteen eighty-four`. Raises as `cardinal`."""
    return _said(number, language, "year")


def _said(number: int, language: str, form: str) -> str:
    require_language(language)
    try:
        said: str = _library().num2words(number, lang=_code(language), to=form)
    except Exception as error:  # each language of the library has failures of its own
        raise ValueError(f"num2words has no {form} of {number} in {language}: {error}") from error
    return " ".join(said.replace(",", " ").split())


def _code(language: str) -> str:
    """A language as the library writes it: `pt_BR` of `pt-BR`."""
    return language.replace("-", "_")


def _library() -> ModuleType:
    try:
        import num2words
    except ImportError as error:
        raise ConfigError(
            "numbers are turned into words by num2words, which is not installed: install the extra, ds2ray[text], or "
            "set text.expand_numbers=false"
        ) from error
    module: ModuleType = num2words
    return module
