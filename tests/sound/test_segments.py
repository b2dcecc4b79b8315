"""Segments are in order, hold all speech, are no longer than allowed, and are cut at pauses where there are any."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ds2ray.sound.segments import SPEECH, Segmenter, SegmentRules, Span
from ds2ray.sound.voice_activity import FRAME_S

RULES = st.builds(
    SegmentRules,
    max_s=st.sampled_from([2.0, 3.0, 5.0, 30.0]),
    pad_s=st.sampled_from([0.0, 0.1, 0.2, 0.3]),
    split_pause_s=st.sampled_from([0.1, 0.4, 1.0, 5.0]),
    least_s=st.sampled_from([0.0, 1.0]),
    long_pause_s=st.sampled_from([0.4, 1.0, 5.0]),
)
RUNS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.3, 0.4, 0.45, 0.5, 0.6, 0.9, 1.0]), st.integers(1, 80)), max_size=30
)
"""Stretches of the same probability, and their frames."""


def scores_of(runs: list[tuple[float, int]]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *(np.full(count, value, np.float32) for value, count in runs)])


def segments_of(scores: np.ndarray, rules: SegmentRules, cuts: list[int] | None = None) -> list[Span]:
    segmenter = Segmenter(rules)
    found = [span for piece in np.split(scores, sorted(cuts or [])) for span in segmenter.push(piece)]
    return found + segmenter.finish()


def stretches_of(scores: np.ndarray, segmenter: Segmenter) -> list[Span]:
    """Speech by the definition, frame after frame: stretches whose pauses are long enough, without clicks."""
    speaking, frames = False, []
    for frame, score in enumerate(scores):
        speaking = score >= SPEECH or (speaking and score >= np.float32(0.35))
        frames += [frame] if speaking else []
    stretches: list[Span] = []
    for frame in frames:
        if stretches and frame - stretches[-1].end < segmenter.pause:
            stretches[-1] = Span(stretches[-1].start, frame + 1)
        else:
            stretches.append(Span(frame, frame + 1))
    return [stretch for stretch in stretches if len(stretch) >= segmenter.shortest]


@given(runs=RUNS, rules=RULES)
@example(runs=[(1.0, 80)] * 20, rules=SegmentRules(max_s=2.0, pad_s=0.3))
@example(runs=[(1.0, 20), (0.0, 4)] * 15, rules=SegmentRules(max_s=5.0, split_pause_s=5.0, long_pause_s=5.0))
def test_segments_are_in_order_and_no_longer_than_allowed(runs: list[tuple[float, int]], rules: SegmentRules) -> None:
    scores = scores_of(runs)
    segments = segments_of(scores, rules)
    edges = [edge for span in segments for edge in (span.start, span.end)]
    assert edges == sorted(edges)
    assert all(0 <= span.start < span.end <= len(scores) for span in segments)
    assert all(len(span) * FRAME_S <= rules.max_s + 1e-6 for span in segments)


@given(runs=RUNS, rules=RULES)
def test_all_speech_is_in_a_segment_and_every_segment_holds_speech(
    runs: list[tuple[float, int]], rules: SegmentRules
) -> None:
    scores = scores_of(runs)
    covered = np.zeros(len(scores), bool)
    segments = segments_of(scores, rules)
    for span in segments:
        covered[span.start : span.end] = True
    stretches = stretches_of(scores, Segmenter(rules))
    assert all(covered[stretch.start : stretch.end].all() for stretch in stretches)
    assert all(any(s.start < span.end and span.start < s.end for s in stretches) for span in segments)


@given(runs=RUNS, rules=RULES)
@example(runs=[(1.0, 20), (0.0, 4)] * 15, rules=SegmentRules(max_s=2.0, split_pause_s=5.0, long_pause_s=5.0))
def test_a_cut_inside_speech_is_one_without_a_pause_before_it(
    runs: list[tuple[float, int]], rules: SegmentRules
) -> None:
    scores, segmenter = scores_of(runs), Segmenter(rules)
    stretches = stretches_of(scores, segmenter)
    for span in segments_of(scores, rules):
        cut_through = [s for s in stretches if s.start < span.end < s.end]
        pauses = [
            (left.end, right.start)
            for left, right in itertools.pairwise(stretches)
            if span.start < left.end and right.start < span.end
        ]
        assert not cut_through or not pauses


@given(runs=RUNS, rules=RULES, cuts=st.lists(st.integers(0, 2000), max_size=12))
def test_segments_do_not_depend_on_how_many_frames_come_at_a_time(
    runs: list[tuple[float, int]], rules: SegmentRules, cuts: list[int]
) -> None:
    scores = scores_of(runs)
    whole = segments_of(scores, rules)
    assert segments_of(scores, rules, [min(place, len(scores)) for place in cuts]) == whole
    assert segments_of(scores, rules, list(range(len(scores)))) == whole


@given(runs=RUNS, rules=RULES)
def test_nothing_is_wanted_that_is_said_to_be_wanted_no_more(
    runs: list[tuple[float, int]], rules: SegmentRules
) -> None:
    segmenter, kept_from = Segmenter(rules), 0
    for piece in np.array_split(scores_of(runs), 9):
        assert all(span.start >= kept_from for span in segmenter.push(piece))
        assert kept_from <= segmenter.kept_from
        kept_from = segmenter.kept_from
    assert all(span.start >= kept_from for span in segmenter.finish())


def test_memory_is_bounded_by_a_segment() -> None:
    segmenter = Segmenter(SegmentRules(max_s=10.0))
    for number in range(200):
        segmenter.push(np.full(100, float(number % 3 > 0), np.float32))
        assert 100 * (number + 1) - segmenter.kept_from <= segmenter.longest + segmenter.pad


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([(0.0, 200)], []),
        ([(0.0, 50), (1.0, 1), (0.0, 50)], []),  # a click
        ([(0.0, 50), (1.0, 40), (0.0, 50)], [Span(45, 95)]),
        ([(1.0, 40)], [Span(0, 40)]),
        ([(1.0, 40), (0.0, 3), (1.0, 40)], [Span(0, 83)]),  # no pause
        ([(1.0, 40), (0.0, 13), (1.0, 40)], [Span(0, 45), Span(48, 93)]),
        ([(1.0, 10), (0.0, 13), (1.0, 40)], [Span(0, 63)]),  # a word is joined to what is near …
        ([(1.0, 10), (0.0, 40), (1.0, 40)], [Span(0, 15), Span(45, 90)]),  # … and not to what is far
    ],
)
def test_segments_by_example(runs: list[tuple[float, int]], expected: list[Span]) -> None:
    assert segments_of(scores_of(runs), SegmentRules(max_s=30.0)) == expected


def test_the_longest_pause_of_the_second_half_is_where_too_much_speech_is_cut() -> None:
    rules = SegmentRules(max_s=FRAME_S * 100, pad_s=0.0, split_pause_s=9.0, long_pause_s=9.0)
    pauses = scores_of([(1.0, 20), (0.0, 9), (1.0, 30), (0.0, 7), (1.0, 20), (0.0, 5), (1.0, 40)])
    assert segments_of(pauses, rules) == [Span(0, 59), Span(66, 131)]
    early = scores_of([(1.0, 20), (0.0, 9), (1.0, 90)])
    assert segments_of(early, rules) == [Span(0, 20), Span(29, 119)]


def test_where_there_is_no_pause_the_least_likely_speech_is_cut() -> None:
    scores = scores_of([(1.0, 70), (0.4, 1), (1.0, 80)])
    assert segments_of(scores, SegmentRules(max_s=FRAME_S * 100, pad_s=0.0)) == [Span(0, 70), Span(70, 151)]
