"""What was heard, counted: with adapters and without, the reasons why, and the errors."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from ds2ray.metrics import Score

MAX_NOTES = 10
"""Notes that are printed; all of them are in the table of hypotheses."""


@dataclass
class Summary:
    """Counts of hypotheses.

    Attributes:
        notes: how often each note stands in those with an adapter (True) and in those of the base alone.
        score: errors of those that have transcripts.
    """

    adapted: int = 0
    alone: int = 0
    failed: int = 0
    notes: Counter[tuple[bool, str]] = field(default_factory=Counter)
    score: Score = field(default_factory=Score)

    def add(self, adapter: str, note: str, error: str) -> None:
        """Count a hypothesis."""
        if error:
            self.failed += 1
            return
        self.adapted += bool(adapter)
        self.alone += not adapter
        if note:
            self.notes[bool(adapter), note] += 1

    def lines(self) -> Iterator[str]:
        """How many utterances were recognised without an adapter and why, each note once, or could not be read."""
        yield f"{self.adapted} with the speaker's adapter, {self.alone} by the base alone, {self.failed} not readable"
        common = self.notes.most_common(MAX_NOTES)
        for (is_adapted, note), count in common:
            yield f"  {'adapter' if is_adapted else 'base alone'} for {count}: {note}"
        if len(self.notes) > len(common):
            rest = self.notes.total() - sum(count for _, count in common)
            yield f"  {len(self.notes) - len(common)} more notes for {rest}: see the column note of the output"
