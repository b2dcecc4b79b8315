"""Word and character errors, counted so that the counts of many utterances and processes can be added."""

from dataclasses import dataclass

import jiwer


@dataclass(frozen=True)
class ErrorCount:
    """Edits that turn a reference into a hypothesis, in words or in characters. Counts add up with `+`."""

    substitutions: int
    deletions: int
    insertions: int
    reference_length: int

    @property
    def errors(self) -> int:
        """All edits."""
        return self.substitutions + self.deletions + self.insertions

    def rate(self) -> float:
        """Errors per word or character of the reference; above 1 where much was inserted.

        Against an empty reference the rate is 0 without errors and 1 with any, so that means stay finite.
        """
        if self.reference_length == 0:
            return float(self.errors > 0)
        return self.errors / self.reference_length

    def __add__(self, other: "ErrorCount") -> "ErrorCount":
        return ErrorCount(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.reference_length + other.reference_length,
        )


def word_errors(reference: str, hypothesis: str) -> ErrorCount:
    """Errors in words, which white space separates. Neither text is normalised here."""
    return _count(" ".join(reference.split()), " ".join(hypothesis.split()), of_words=True)


def character_errors(reference: str, hypothesis: str) -> ErrorCount:
    """Errors in characters. Spaces are left out, as is usual for Korean: a word split in two is no error."""
    return _count("".join(reference.split()), "".join(hypothesis.split()), of_words=False)


def _count(reference: str, hypothesis: str, *, of_words: bool) -> ErrorCount:
    result = (jiwer.process_words if of_words else jiwer.process_characters)(reference, hypothesis)
    # what the reference holds is a hit, a substitution or a deletion
    length = result.hits + result.substitutions + result.deletions
    return ErrorCount(result.substitutions, result.deletions, result.insertions, length)
