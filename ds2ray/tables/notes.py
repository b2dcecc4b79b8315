"""Notes on rows that were read otherwise than they were written: conversions, characters left out, unknown columns."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ds2ray.tables.manifest import Manifest
from ds2ray.tables.validation import (
    CHARACTERS_DROPPED,
    DURATION_CORRECTED,
    MIXED,
    PUT_IN_WORDS,
    RESAMPLED,
    SAMPLED_UP,
    UNTRANSCRIBED,
)

_CONVERSIONS = {
    MIXED: "mixed to mono",
    RESAMPLED: "resampled",
    SAMPLED_UP: "sampled up from a lower rate, with nothing above half of that rate",
    DURATION_CORRECTED: "with the audio's own duration in place of the manifest's",
    PUT_IN_WORDS: "with numbers or abbreviations put in words",
    CHARACTERS_DROPPED: "with characters left out that the vocabulary lacks",
    UNTRANSCRIBED: "without a transcript, of which what is surely recognised is learned from",
}
_MAX_SHOWN = 10


def reading_notes(
    sources: Iterable[Manifest],
    table_columns: Sequence[str] = (),
    table_notes: Mapping[str, int] | None = None,
) -> list[str]:
    """A line for each kind of change that reading made, over all sources; empty where nothing was changed.

    Args:
        table_columns: of the users table, not known.
        table_notes: of the users table.
    """
    notes: Counter[str] = Counter(table_notes or {})
    conversions: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    columns: set[str] = set()
    for source in sources:
        conversions.update(source.conversions)
        characters.update(source.dropped_characters)
        columns.update(source.unknown_columns)
        notes.update(source.notes)
    lines = [
        f"utterances {_CONVERSIONS[name]}: {conversions[name]}" for name in sorted(conversions.keys() & _CONVERSIONS)
    ]
    lines += [f"{note} (utterances: {conversions[note]})" for note in sorted(conversions.keys() - _CONVERSIONS)]
    lines += [f"{name}: {count}" for name, count in sorted(notes.items())]
    if characters:
        shown = ", ".join(f"{character!r} {count} times" for character, count in characters.most_common(_MAX_SHOWN))
        more = f" and {len(characters) - _MAX_SHOWN} others" if len(characters) > _MAX_SHOWN else ""
        lines.append(f"characters left out: {shown}{more}")
    if columns:
        lines.append(f"columns not known, ignored: {', '.join(sorted(columns)[:_MAX_SHOWN])}")
    if table_columns:
        names = ", ".join(sorted(table_columns)[:_MAX_SHOWN])
        lines.append(f"columns of the users table not known, ignored: {names}")
    return lines
