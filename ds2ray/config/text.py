"""Settings of text: its tokens, language models of it, and its decoding."""

import math
from dataclasses import dataclass

from ds2ray.config.fields import Choice, refuse_foreign, require, setting

MAX_ORDER = 10
OF_THE_BASE = "base"
"""The language model that is published beside the base."""
OF_THE_MODEL = "model"
"""The lexicon that a language model brings."""
MAX_WIDTH = 4096


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


class LanguageModelUnit(Choice):
    word = "word", "words between spaces; other words are heard at a price, or not at all"
    token = "token", "characters, syllables or jamo, as the base writes them: for languages whose words are countless"


@dataclass(frozen=True, kw_only=True)
class LanguageModelConfig:
    """The n-gram model that is made of texts."""

    unit: LanguageModelUnit = setting(LanguageModelUnit.word, "what it predicts")
    order: int = setting(0, "units that it looks at, the predicted one among them; 0: 3 words or 6 tokens")
    min_counts: list[int] = setting(
        [],
        "how often sequences of two, three … units occur at least that are kept; the last also holds for longer ones",
    )

    def __post_init__(self) -> None:
        require(self.unit in tuple(LanguageModelUnit), "lm.unit", self.unit, "a LanguageModelUnit is wanted")
        require(0 <= self.order <= MAX_ORDER, "lm.order", self.order, f"0 to {MAX_ORDER}")
        rising = sorted(self.min_counts) == list(self.min_counts) and all(count >= 1 for count in self.min_counts)
        require(rising, "lm.min_counts", list(self.min_counts), "whole numbers from 1 on that do not fall, as [1,2]")

    @property
    def chosen_order(self) -> int:
        """The order, with the default of the unit."""
        return self.order or (3 if self.unit is LanguageModelUnit.word else 6)


class DecoderKind(Choice):
    greedy = "greedy", "the best token of every frame; nothing else is looked at"
    beam = "beam", "the best texts of all that the sound may mean, by the sound and by what is known of the language"


@dataclass(frozen=True, kw_only=True)
class DecodeConfig:
    """The way from the scores of tokens to text."""

    decoder: DecoderKind = setting(DecoderKind.greedy, "how tokens are found")
    language_model: str = setting(
        "", "`base`: the one that is published beside the base; or the URI of an ARPA file of words; empty: none"
    )
    lexicon: str = setting(
        "", "URI of a text whose words are the only ones that are heard; `model`: the language model's; empty: any word"
    )
    beam_width: int = setting(32, "texts that are followed at once")
    n_best: int = setting(1, "texts that are told of each utterance, the best ones, with their scores")
    lm_weight: float = setting(0.8, "of the language model's log-probabilities beside those of the sound")
    word_score: float = setting(1.0, "added for every word: more makes more and shorter words")
    unknown_score: float = setting(-8.0, "added for a word that neither the language model nor the lexicon knows")
    words_weight: float = setting(
        1.0, "added for every token of a speaker's own words; more hears them where they are not said; 0: not at all"
    )

    def __post_init__(self) -> None:
        require(self.decoder in tuple(DecoderKind), "decode.decoder", self.decoder, "a DecoderKind is wanted")
        if self.decoder is DecoderKind.greedy:
            refuse_foreign(self, "decode", ("decoder",), "greedy decoding, unlike decode=beam and decode=lm,")
        elif not self.language_model:
            allowed = "there is no language model; give decode.language_model, as decode=lm does"
            require(self.lexicon != OF_THE_MODEL, "decode.lexicon", self.lexicon, allowed)
            without = ("decoder", "lexicon", "beam_width", "n_best", "words_weight", "word_score")
            own = without if self.lexicon else without[:-1]
            refuse_foreign(self, "decode", own, "decoding without decode.language_model")
        allowed_width = f"1 to {MAX_WIDTH}"
        require(1 <= self.beam_width <= MAX_WIDTH, "decode.beam_width", self.beam_width, allowed_width)
        require(1 <= self.n_best <= self.beam_width, "decode.n_best", self.n_best, "1 to decode.beam_width")
        for name in ("lm_weight", "word_score", "unknown_score", "words_weight"):
            require(
                math.isfinite(getattr(self, name)), f"decode.{name}", getattr(self, name), "a finite number is wanted"
            )
        for name in ("lm_weight", "words_weight"):
            require(getattr(self, name) >= 0, f"decode.{name}", getattr(self, name), "at least 0")
