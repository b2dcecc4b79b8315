"""Notes on changes in reading, summed over all sources."""

from ds2ray.tables.manifest import Manifest
from ds2ray.tables.notes import reading_notes


def test_nothing_is_said_where_nothing_was_changed() -> None:
    assert reading_notes([Manifest("a.csv", []), Manifest("b.csv", [], user_id="ann")]) == []


def test_conversions_characters_and_columns_are_summed_over_sources() -> None:
    manifest = Manifest(
        "a.csv",
        [],
        unknown_columns=["speaker"],
        conversions={"resampled": 2, "mixed_to_mono": 1},
        dropped_characters={"é": 3},
    )
    user = Manifest(
        "b.csv",
        [],
        conversions={"resampled": 5, "sampled_up": 3},
        dropped_characters={"é": 1, "ñ": 1},
        unknown_columns=["age"],
    )
    assert reading_notes([manifest, user]) == [
        "utterances mixed to mono: 1",
        "utterances resampled: 7",
        "utterances sampled up from a lower rate, with nothing above half of that rate: 3",
        "characters left out: 'é' 4 times, 'ñ' 1 times",
        "columns not known, ignored: age, speaker",
    ]
