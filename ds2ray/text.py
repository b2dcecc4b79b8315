"""Transcripts to tokens and back: normalisation and the vocabulary.

Token 0 is the CTC blank. The other tokens are characters (for Korean: whole syllables) or, with `TextUnit.jamo`,
characters with every Hangul syllable split into its letters.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import eq
from typing import Any

from ds2ray.config import TextConfig, TextUnit, from_plain, to_plain
from ds2ray.errors import InputError
from ds2ray.wording.library import require_language
from ds2ray.wording.rules import Wording
from ds2ray.wording.words import in_words, raised_digits

BLANK_ID = 0
BLANK = "<blank>"

_APOSTROPHE = re.compile("['’ʼ]")
_APOSTROPHE_IN_WORD = re.compile(r"(?<=[^\W_ʼ])['’ʼ](?=[^\W_ʼ])")
_IN_WORD = "\ue000"  # private use: stands for an apostrophe inside a word while the others are taken out
_HANGUL_SYLLABLES = re.compile("[가-힣]+")
_JOINERS = "\u200c\u200d"  # invisible, but part of the spelling of Persian and the Indic scripts


class _Invisible(dict[int, str | None]):
    """Translation table that leaves out invisible characters: marks of byte order, direction and hyphenation."""

    def __missing__(self, codepoint: int) -> str | None:
        character = chr(codepoint)
        invisible = unicodedata.category(character) in ("Cc", "Cf") and not character.isspace()
        self[codepoint] = None if invisible and character not in _JOINERS else character
        return self[codepoint]


class _Punctuation(dict[int, str]):
    """Translation table that puts a space where a punctuation mark stands."""

    def __missing__(self, codepoint: int) -> str:
        character = chr(codepoint)
        self[codepoint] = " " if unicodedata.category(character).startswith("P") else character
        return self[codepoint]


_INVISIBLE = _Invisible()
_PUNCTUATION = _Punctuation()


def normalise(transcript: str, config: TextConfig) -> str:
    """The form in which transcripts are learnt and compared; normalising twice changes nothing more.

    NFKC, white space collapsed, and as configured in lower case and without punctuation. Punctuation separates words,
    but for apostrophes inside them; invisible characters are left out. Where configured, numbers and abbreviations are
    first put in words, but for those that are not certain; see `doubts`.

    Raises:
        ConfigError: they are to be put in words, and num2words is not installed or does not know the language.
    """
    text = _wording(transcript, config).text if config.expand_numbers else _compatible(transcript)
    if config.lower_case:
        text = unicodedata.normalize("NFKC", text.lower())
    if config.strip_punctuation:
        if _APOSTROPHE.search(text):
            text = _APOSTROPHE.sub(" ", _APOSTROPHE_IN_WORD.sub(_IN_WORD, text))
            text = text.translate(_PUNCTUATION).replace(_IN_WORD, "'")
        else:
            text = text.translate(_PUNCTUATION)
    return " ".join(text.split())


def doubts(transcript: str, config: TextConfig) -> tuple[str, ...]:
    """The parts of a transcript that cannot be put in words for certain, with reasons; none where nothing is to be.

    Raises:
        ConfigError: as `normalise`.
    """
    return _wording(transcript, config).doubts if config.expand_numbers else ()


def require_words(config: TextConfig) -> None:
    """Raise ConfigError where numbers are to be put in words, and num2words is missing or lacks the language."""
    if config.expand_numbers:
        require_language(config.language)


def _wording(transcript: str, config: TextConfig) -> Wording:
    text, raised = _compatible(transcript), raised_digits(transcript)
    return Wording(text, raised) if raised else in_words(text, config.language)


def _compatible(transcript: str) -> str:
    """A transcript without invisible characters, in NFKC."""
    # corpora have millions of transcripts, and most of them need little of this
    text = transcript if transcript.isprintable() else transcript.translate(_INVISIBLE).replace(_IN_WORD, "")
    return unicodedata.normalize("NFKC", text)


def tokens_of(character: str, config: TextConfig) -> list[str]:
    """The tokens that one character of a transcript is written with: none, itself, its lower case, its jamo …"""
    if character.isspace():
        return [" "]
    return list(_to_units(normalise(character, replace(config, expand_numbers=False)), config.unit))


def _to_units(text: str, unit: TextUnit) -> str:
    """Split normalised text into the characters that tokens stand for."""
    if unit is TextUnit.character:
        return text
    return _HANGUL_SYLLABLES.sub(lambda syllables: unicodedata.normalize("NFD", syllables[0]), text)


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by id, and how transcripts are written in them. `tokens[0]` is the blank, every other one a character.

    Raises:
        InputError: no token beside the blank, one that is not a single character, or one given twice.
    """

    tokens: tuple[str, ...]
    config: TextConfig

    def __post_init__(self) -> None:
        if self.tokens[:1] != (BLANK,) or len(self.tokens) < 2:
            raise InputError(f"a vocabulary needs {BLANK} as its first token and at least one character")
        wrong = sorted({token for token in self.tokens[1:] if len(token) != 1})
        if wrong:
            raise InputError(f"vocabulary tokens must be single characters, not {wrong[:10]}")
        if len(self._ids) != len(self.tokens) - 1:
            twice = sorted({token for token in self._ids if self.tokens.count(token) > 1})
            raise InputError(f"vocabulary tokens are given twice: {twice[:10]}")

    @classmethod
    def from_transcripts(cls, transcripts: Iterable[str], config: TextConfig) -> "Vocabulary":
        """The space and every character of the normalised transcripts, sorted, but for those with doubts.

        Raises:
            InputError: the transcripts hold no character.
            ConfigError: as `normalise`.
        """
        characters: set[str] = set()
        doubtful: tuple[str, ...] = ()
        for transcript in transcripts:
            found = doubts(transcript, config)
            doubtful = doubtful or found
            if not found:
                characters.update(_to_units(normalise(transcript, config), config.unit))
        if not characters:
            why = f"are in no words that are certain, as {doubtful[0]}" if doubtful else "hold no characters"
            raise InputError(f"no vocabulary can be built: the transcripts {why}")
        return cls.from_tokens(sorted(characters | {" "}), config)

    @classmethod
    def from_tokens(cls, tokens: Iterable[str], config: TextConfig) -> "Vocabulary":
        """From the tokens after the blank, in this order."""
        return cls((BLANK, *tokens), config)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens) if i != BLANK_ID}

    @cached_property
    def _characters(self) -> frozenset[str]:
        return frozenset(self._ids)

    @property
    def space(self) -> int:
        """The id of the space between words, or that of the blank where the vocabulary has none."""
        return self._ids.get(" ", BLANK_ID)

    def __len__(self) -> int:
        """Number of tokens, the blank included: the model's num_classes."""
        return len(self.tokens)

    def encode(self, transcript: str) -> list[int]:
        """Token ids of the normalised transcript.

        Raises:
            InputError: names the characters that the vocabulary lacks.
        """
        token_ids, unknown = self.encode_and_tell(transcript)
        if unknown:
            raise InputError(f"the vocabulary lacks {' '.join(map(describe_character, unknown))}, in {transcript!r}")
        return token_ids

    def encode_known(self, transcript: str) -> list[int]:
        """Token ids of the normalised transcript; characters that the vocabulary lacks are left out."""
        return self.encode_and_tell(transcript)[0]

    def unknown_characters(self, transcript: str) -> list[str]:
        """Characters of the normalised transcript that the vocabulary lacks, each once, in order of appearance."""
        return self.encode_and_tell(transcript)[1]

    def encode_and_tell(self, transcript: str) -> tuple[list[int], list[str]]:
        """The results of `encode_known` and of `unknown_characters`, in one pass."""
        units = self._units(transcript)
        if self._characters.issuperset(units):
            return [self._ids[character] for character in units], []
        token_ids = [self._ids[character] for character in units if character in self._ids]
        return token_ids, list(dict.fromkeys(character for character in units if character not in self._ids))

    def doubts(self, transcript: str) -> tuple[str, ...]:
        """The parts of a transcript that cannot be put in words for certain; see `doubts`."""
        return doubts(transcript, self.config)

    def is_put_in_words(self, transcript: str) -> bool:
        """Whether numbers or abbreviations of a transcript are learnt in other words than it has."""
        return self.config.expand_numbers and _wording(transcript, self.config).text != _compatible(transcript)

    def _units(self, transcript: str) -> str:
        return _to_units(normalise(transcript, self.config), self.config.unit)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of token ids, one character each; nothing is collapsed, jamo are joined to syllables.

        Raises:
            InputError: an id is the blank or not in the vocabulary.
        """
        wrong = [i for i in token_ids if not BLANK_ID < i < len(self.tokens)]
        if wrong:
            raise InputError(f"token id {wrong[0]} is no character: ids are 1 to {len(self.tokens) - 1}")
        return unicodedata.normalize("NFC", "".join(self.tokens[i] for i in token_ids))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values; equal vocabularies give equal ones, so they can be part of a fingerprint."""
        return {"tokens": list(self.tokens), "config": _config_to_plain(self.config)}

    @classmethod
    def from_json(cls, values: dict[str, Any], where: str = "the vocabulary") -> "Vocabulary":
        """The inverse of `to_json`.

        Args:
            where: the file that holds the values, for messages.

        Raises:
            NewerReleaseError: a newer release wrote them, with fields that this one does not know.
            InputError: the values do not describe a vocabulary.
        """
        try:
            return cls(tuple(map(str, values["tokens"])), from_plain(TextConfig, values["config"], where))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}: not a vocabulary: {type(error).__name__}: {error}") from error


def _config_to_plain(config: TextConfig) -> dict[str, Any]:
    """JSON-ready: without what is as in releases before there were such settings, so that their fingerprints stay."""
    default = to_plain(TextConfig())
    newer = ("expand_numbers", "language")
    return {name: value for name, value in to_plain(config).items() if name not in newer or value != default[name]}


def describe_character(character: str) -> str:
    """A character with its code point, as in `'é' (U+00E9)`, since many characters look alike."""
    return f"{character!r} (U+{ord(character):04X})"


def min_ctc_frames(token_ids: Sequence[int]) -> int:
    """Frames that CTC needs at least: one per token, and a blank between equal neighbours."""
    return len(token_ids) + sum(map(eq, token_ids, token_ids[1:]))


def remedy_of(unknown: Sequence[str], config: TextConfig) -> str:
    """What to do about a transcript with characters that a vocabulary lacks, which may be digits."""
    if config.expand_numbers or not any(map(str.isdecimal, unknown)):
        return "correct it, or set data.unknown_characters=drop"
    return "write numbers in words, train a base with text.expand_numbers=true, or set data.unknown_characters=drop"
