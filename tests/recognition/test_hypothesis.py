"""Hypotheses of recordings that were recognised segment by segment."""

import pytest
from tiny_base import VOCABULARY

from ds2ray.decoding.decoder import Decoded
from ds2ray.recognition.hypothesis import Heard, Word, joined
from ds2ray.tables.manifest import Utterance

UTTERANCE = Utterance(utterance_id="long", user_id="ann", audio="long.wav", duration_s=60.0, transcript="", line=2)


def heard(text: str, start_s: float, duration_s: float, score: float) -> Heard:
    """Each letter in two encoding frames of 20 ms."""
    tokens = VOCABULARY.encode(text)
    frames = range(0, 2 * len(tokens), 2)
    row = Decoded(tokens, list(frames), [frame + 1 for frame in frames], score)
    return Heard.of(row, VOCABULARY, 0.02, start_s, duration_s)


def test_times_are_from_the_start_of_the_whole() -> None:
    part = heard("ab c", 12.5, 1.0, -0.5)
    assert part.words == (Word("ab", 12.5, 12.58), Word("c", 12.62, 12.66))
    assert part.text == "ab c"


def test_segments_are_joined_by_spaces_and_weighted_by_their_seconds() -> None:
    parts = [heard("ab", 1.0, 3.0, -0.1), heard("", 10.0, 1.0, 0.0), heard("c", 20.0, 2.0, -0.4)]
    whole = joined(UTTERANCE, parts)
    assert (whole.utterance_id, whole.user_id, whole.text) == ("long", "ann", "ab c")
    assert [word.text for word in whole.words] == ["ab", "c"]
    assert whole.words[1].start_s == 20.0
    assert whole.score == pytest.approx((-0.3 - 0.8) / 6)


def test_one_segment_stays_as_it_was_decoded() -> None:
    whole = joined(UTTERANCE, [Heard(" ab ", (), score=-0.2, duration_s=1.0)])
    assert (whole.text, whole.score) == (" ab ", pytest.approx(-0.2))
