"""Subtitles: times, lines, escapes; words are neither lost nor out of order."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ds2ray.outputs.subtitles import GAP_S, LINE_WIDTH, MAX_S, MIN_S, cues, srt, vtt
from ds2ray.recognition.hypothesis import Word


def spoken(text: str, start_s: float = 0.0, word_s: float = 0.3) -> list[Word]:
    """Words one right after the other."""
    return [Word(word, start_s + n * word_s, start_s + (n + 1) * word_s) for n, word in enumerate(text.split())]


def test_subrip() -> None:
    words = [Word("good", 0.5, 0.9), Word("night", 1.0, 1.75), Word("all", 3661.0015, 3662.5)]
    assert srt(words) == ("1\n00:00:00,500 --> 00:00:01,750\ngood night\n\n2\n01:01:01,002 --> 01:01:02,500\nall\n")


def test_webvtt_writes_markup_as_text() -> None:
    assert vtt([Word("<b>", 0.0, 1.0), Word("&", 1.0, 1.5), Word("-->", 1.5, 2.0)]) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n&lt;b&gt; &amp; --&gt;\n"
    )


def test_subrip_has_no_arrow_but_its_own() -> None:
    assert srt([Word("a-->b", 0.0, 1.0)]).count("-->") == 1


def test_nothing_is_said() -> None:
    assert (srt([]), vtt([]), cues([])) == ("", "WEBVTT\n", [])


def test_a_pause_begins_a_new_subtitle_and_a_short_one_stands_on() -> None:
    first, second, third = cues([Word("one", 0.0, 0.2), Word("two", 1.5, 1.7), Word("three", 2.75, 3.0)])
    assert (first.start_s, first.end_s) == (0.0, MIN_S)
    assert (second.end_s, third.start_s) == (1.5 + MIN_S, 2.75)
    close, after = cues([Word("one", 0.0, 0.05), Word("two", 1.05, 1.2)])
    assert (close.end_s, after.lines) == (1.05 - GAP_S, ("two",))


def test_long_text_stands_in_two_lines_of_like_length() -> None:
    (cue,) = cues(spoken("the quick brown fox jumps over the lazy dog and is gone", word_s=0.2))
    assert cue.lines == ("the quick brown fox jumps", "over the lazy dog and is gone")


def test_a_sentence_without_spaces_is_divided() -> None:
    text = "가나다라마바사아자차" * 4
    found = cues([Word(text, 0.0, 12.0)])
    assert "".join(line for cue in found for line in cue.lines) == text
    assert len(found) == 2
    assert found[0].end_s == found[1].start_s == 6.0


def test_accents_stay_with_their_letters() -> None:
    found = cues([Word("e\u0301" * 100, 0.0, 3.0)])
    assert all(line.startswith("e") and line.endswith("\u0301") for cue in found for line in cue.lines)


@given(
    st.lists(
        st.tuples(
            st.text("abc<&가é", min_size=1, max_size=60),
            st.floats(0.0, 3.0).map(lambda s: round(s, 3)),
            st.floats(0.02, 9),
        ),
        max_size=40,
    )
)
def test_whatever_is_said_can_be_read(spans: list[tuple[str, float, float]]) -> None:
    now_s, words = 0.0, []
    for text, pause_s, length_s in spans:
        words.append(Word(text, now_s + pause_s, now_s + pause_s + length_s))
        now_s = words[-1].end_s
    found = cues(words)
    text = "".join("".join(cue.lines) for cue in found)
    assert re.sub(r"\s", "", text) == "".join(word.text for word in words)
    assert all(len(cue.lines) <= 2 and all(len(line) <= LINE_WIDTH for line in cue.lines) for cue in found)
    longest_s = max([MAX_S, *(word.end_s - word.start_s for word in words)])
    assert all(0 <= cue.end_s - cue.start_s <= longest_s + 1e-6 for cue in found)
    assert all(one.end_s <= other.start_s + 1e-6 for one, other in pairwise(found))
