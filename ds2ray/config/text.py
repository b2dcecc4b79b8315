"""Settings of tokens."""

from dataclasses import dataclass

from ds2ray.config.fields import Choice, setting


class TextUnit(Choice):
    character = "character", "Unicode characters; for Korean these are whole syllables"
    jamo = "jamo", "Hangul syllables are split into their letters"


@dataclass(frozen=True, kw_only=True)
class ShownTextConfig:
    """Recognised text as it is shown, beside what was recognised."""

    display: bool = setting(False, "show capital letters and digits where they are certain")
    language: str = setting("", "language of the text, as num2words names it; empty: the base's text.language")


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """Transcripts to tokens. Stored with the vocabulary."""

    unit: TextUnit = setting(TextUnit.character, "unit of text that one token stands for")
    expand_numbers: bool = setting(
        False, "write numbers, dates, units and abbreviations in words; rows in which they are not certain are bad"
    )
    language: str = setting("en", "language of these words, as num2words names it: en, ko, de, pt_BR …")
    lower_case: bool = setting(True, "turn transcripts to lower case")
    strip_punctuation: bool = setting(True, "leave punctuation out, but for apostrophes inside words")
