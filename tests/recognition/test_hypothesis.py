"""Hypotheses of recordings that were recognised segment by segment."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_base import VOCABULARY

from ds2ray.decoding.decoder import Decoded
from ds2ray.recognition.hypothesis import Heard, Word, alternatives_of, joined
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


def test_the_confidence_of_a_word_is_made_of_the_mean_of_its_tokens() -> None:
    tokens = VOCABULARY.encode("ab c")
    row = Decoded(tokens, [0, 1, 2, 3], [0, 1, 2, 3], -0.1, [math.log(0.9), math.log(0.4), -5.0, math.log(0.7)])
    words = Heard.of(row, VOCABULARY, 0.02, 0.0, 1.0).words
    assert [word.confidence for word in words] == pytest.approx([0.6, 0.7])
    halved = Heard.of(row, VOCABULARY, 0.02, 0.0, 1.0, lambda score: math.exp(score) / 2).words
    assert [word.confidence for word in halved] == pytest.approx([0.3, 0.35])


def test_a_decoder_without_scores_of_tokens_gives_no_confidence() -> None:
    assert [word.confidence for word in heard("ab c", 0.0, 1.0, -0.1).words] == [None, None]


@given(
    st.lists(st.tuples(st.sampled_from(VOCABULARY.encode("ab c")), st.integers(1, 5), st.integers(0, 3)), max_size=20),
    st.integers(0, 10**6),
    st.floats(0.0, 1.0),
)
def test_words_of_a_row_never_overlap_and_lie_within_its_audio(
    tokens: list[tuple[int, int, int]], start_ms: int, cut: float
) -> None:
    """The last encoding frame may reach beyond the audio: it does here by up to a whole frame."""
    frame, first, last = 0, [], []
    for _, length, pause in tokens:
        first.append(frame + pause)
        last.append(frame + pause + length - 1)
        frame = last[-1] + 1
    row = Decoded([token for token, _, _ in tokens], first, last, 0.0, [-0.1] * len(tokens))
    duration_s = max(0.0, (frame - cut) * 0.02)
    words = Heard.of(row, VOCABULARY, 0.02, start_ms / 1000, duration_s).words
    edges = [edge for word in words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges)
    assert all(start_ms / 1000 - 1e-9 <= edge <= start_ms / 1000 + duration_s + 1e-9 for edge in edges)


def test_the_best_texts_of_a_whole_are_those_of_its_segments_together() -> None:
    found = alternatives_of([[("a", 0.0), ("b", -1.0)], [("c", -0.5), ("", -0.75)]])
    assert [(each.text, each.score) for each in found] == [("a c", -0.5), ("a", -0.75)]
    assert sum(each.share for each in found) == pytest.approx(1.0)
    assert found[0].share / found[1].share == pytest.approx(math.exp(0.25))


def test_no_two_alternatives_are_alike_and_none_are_made_where_none_are_asked_for() -> None:
    assert [each.text for each in alternatives_of([[("a", 0.0), ("a", -1.0)]])] == ["a"]
    assert alternatives_of([(), ()]) == ()
    assert joined(UTTERANCE, [heard("ab", 1.0, 3.0, -0.1)]).alternatives == ()
