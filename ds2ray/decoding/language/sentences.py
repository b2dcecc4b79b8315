"""Sentences as language models see them: normalised as transcripts are, in words or in a base's tokens."""

from collections import Counter
from collections.abc import Iterable, Iterator

from ds2ray.config import LanguageModelUnit
from ds2ray.decoding.fusion import token_name
from ds2ray.decoding.language.ngrams import SPECIAL, UNKNOWN
from ds2ray.text import Vocabulary, normalise


class Sentences:
    """Turns texts into sentences of units; words that the base cannot write become `<unk>` and are counted.

    Attributes:
        num_words: that were read.
        unwritable: how often each word occurred that has a character which the vocabulary lacks.
    """

    def __init__(self, vocabulary: Vocabulary, unit: LanguageModelUnit) -> None:
        self.vocabulary, self.unit = vocabulary, unit
        self.num_words = 0
        self.unwritable: Counter[str] = Counter()
        self._units: dict[str, list[str]] = {}

    def read(self, texts: Iterable[str]) -> Iterator[list[str]]:
        """The sentences of texts, one each; those in which nothing is written are left out."""
        for text in texts:
            words = normalise(text, self.vocabulary.config).split()
            self.num_words += len(words)
            if words:
                yield self._sentence(words)

    def _sentence(self, words: list[str]) -> list[str]:
        units: list[str] = []
        for word in words:
            if word not in self._units:
                self._units[word] = self._units_of(word)
            if self._units[word] == [UNKNOWN]:
                self.unwritable[word] += 1
            if units and self.unit is LanguageModelUnit.token:
                units.append(token_name(" "))
            units += self._units[word]
        return units

    def _units_of(self, word: str) -> list[str]:
        token_ids, unknown = self.vocabulary.encode_and_tell(word)
        if unknown or word in SPECIAL:
            return [UNKNOWN]
        if self.unit is LanguageModelUnit.word:
            return [word]
        return [token_name(self.vocabulary.tokens[i]) for i in token_ids]
