"""Counts of what was heard: every reason is told once, with how often, and none is lost."""

from ds2ray.commands.transcribing.summary import MAX_NOTES, Summary


def test_each_note_is_told_once_with_its_count() -> None:
    heard = Summary()
    for adapter, note, error in [
        ("1f", "", ""),
        ("1f", "left channel", ""),
        ("", "user ann has no adapter", ""),
        ("", "user ann has no adapter", ""),
        ("", "", "there is no such file"),
    ]:
        heard.add(adapter, note, error)
    assert list(heard.lines()) == [
        "2 with the speaker's adapter, 2 by the base alone, 1 not readable",
        "  base alone for 2: user ann has no adapter",
        "  adapter for 1: left channel",
    ]


def test_notes_beyond_those_that_are_printed_are_counted() -> None:
    heard = Summary()
    for number in range(MAX_NOTES + 3):
        for _ in range(2):
            heard.add("", f"user {number} has no adapter", "")
    *_, last = heard.lines()
    assert last == "  3 more notes for 6: see the column note of the output"
