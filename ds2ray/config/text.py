"""How transcripts become tokens."""

from dataclasses import dataclass

from ds2ray.config.fields import Choice, setting


class TextUnit(Choice):
    character = "character", "Unicode characters; for Korean these are whole syllables"
    jamo = "jamo", "Hangul syllables are split into their letters"


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """How transcripts become tokens. Stored with the vocabulary."""

    unit: TextUnit = setting(TextUnit.character, "what one token is")
    lower_case: bool = setting(True, "fold case")
    strip_punctuation: bool = setting(True, "leave punctuation out, but for apostrophes inside words")
