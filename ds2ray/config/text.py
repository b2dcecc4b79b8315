"""Settings of tokens."""

from dataclasses import dataclass

from ds2ray.config.fields import Choice, setting


class TextUnit(Choice):
    character = "character", "Unicode characters; for Korean these are whole syllables"
    jamo = "jamo", "Hangul syllables are split into their letters"


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """Transcripts to tokens. Stored with the vocabulary."""

    unit: TextUnit = setting(TextUnit.character, "unit of text that one token stands for")
    lower_case: bool = setting(True, "turn transcripts to lower case")
    strip_punctuation: bool = setting(True, "leave punctuation out, but for apostrophes inside words")
