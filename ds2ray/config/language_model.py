"""Settings of language models."""

from dataclasses import dataclass

from ds2ray.config.fields import Choice, require, setting

MAX_ORDER = 10


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
        require(0 <= self.order <= MAX_ORDER, "lm.order", self.order, f"0 to {MAX_ORDER}")
        rising = sorted(self.min_counts) == list(self.min_counts) and all(count >= 1 for count in self.min_counts)
        require(rising, "lm.min_counts", list(self.min_counts), "whole numbers from 1 on that do not fall, as [1,2]")

    @property
    def chosen_order(self) -> int:
        """The order, with the default of the unit."""
        return self.order or (3 if self.unit is LanguageModelUnit.word else 6)
