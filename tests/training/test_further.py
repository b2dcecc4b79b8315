"""Further recordings: which utterances they are made of, and what is heard and said in them."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_speech import SAMPLE_RATE_HZ, make_utterances

from ds2ray.config.adapt import FURTHER_TIMES
from ds2ray.sound.audio import read_waveform
from ds2ray.training.base.augmenting import LONGEST_JOINED_S, LONGEST_PAUSE_S
from ds2ray.training.further import CLIP_DB, FurtherRecording, MadeOf, further_recordings


def ids(count: int) -> list[str]:
    return [f"utterance-{number}" for number in range(count)]


def made(count: int, groups: list[list[int]], duration_s: float = 2.0, seed: int = 0) -> list[FurtherRecording]:
    return further_recordings(ids(count), [duration_s] * count, groups, seed)


def test_each_utterance_of_a_group_is_heard_twice_and_in_no_recording_with_one_of_another() -> None:
    groups = [[0, 3, 5, 8], [1, 2, 9], [4]]
    recordings = made(12, groups)
    rows = sorted(row for one in recordings for row in one.rows)
    assert rows == [row for row in (0, 1, 2, 3, 4, 5, 8, 9) for _ in range(FURTHER_TIMES)]
    assert all(any(set(one.rows) <= set(group) for group in groups) for one in recordings)
    assert sum(len(one.rows) == 2 for one in recordings) >= 6


def test_each_is_clipped_in_one_of_two_pairs_which_are_others() -> None:
    recordings = [one for one in made(40, [list(range(40))]) if len(one.rows) == 2]
    ways = sorted((row, one.clip_db > 0) for one in recordings for row in one.rows)
    assert ways == [(row, clipped) for row in range(40) for clipped in (False, True)]
    pairs = [frozenset(one.rows) for one in recordings]
    assert len(set(pairs)) > 0.9 * len(pairs)


def test_half_of_the_pairs_are_clipped_and_half_have_no_pause() -> None:
    recordings = made(200, [list(range(200))])
    clipped = [one.clip_db for one in recordings if one.clip_db]
    assert len(recordings) == 2 * len(clipped) == 200
    assert all(CLIP_DB[0] <= clip_db <= CLIP_DB[1] for clip_db in clipped)
    assert 75 < sum(one.pause_s == 0 for one in recordings) < 125
    assert all(0 <= one.pause_s <= LONGEST_PAUSE_S for one in recordings)


def test_an_utterance_that_is_left_over_or_too_long_for_a_pair_is_clipped_by_itself() -> None:
    long = made(5, [list(range(5))], LONGEST_JOINED_S / 2)
    assert [len(one.rows) for one in long] == [1] * 10
    left_over = [one for one in made(5, [list(range(5))]) if len(one.rows) == 1]
    assert left_over
    assert all(one.clip_db >= CLIP_DB[0] for one in (*long, *left_over))


def test_the_utterances_and_the_seed_alone_decide() -> None:
    groups = [[0, 1, 2, 3, 4], [5, 6, 7]]
    order = random.Random(1).sample(range(8), 8)
    place = {row: number for number, row in enumerate(order)}
    moved = further_recordings(
        [ids(8)[row] for row in order], [2.0] * 8, [[place[row] for row in group] for group in reversed(groups)], 0
    )
    named = [([order[row] for row in one.rows], one.pause_s, one.clip_db) for one in moved]
    assert named == [(list(one.rows), one.pause_s, one.clip_db) for one in made(8, groups)]
    assert made(8, groups) != made(8, groups, seed=1)


@pytest.mark.parametrize("pause_s", [0.0, 0.25])
def test_utterances_of_a_recording_follow_each_other(pause_s: float) -> None:
    first, second = np.full(800, 0.5, dtype=np.float32), np.full(400, -0.25, dtype=np.float32)
    waveform = FurtherRecording([1, 0], pause_s, 0.0).waveform([first, second], 1600)
    silence = np.zeros(round(1600 * pause_s), dtype=np.float32)
    assert waveform.dtype == np.float32
    assert np.array_equal(waveform, np.concatenate([first, silence, second]))


@pytest.mark.parametrize("clip_db", CLIP_DB)
def test_a_recording_is_clipped_so_far_below_its_peak(clip_db: float) -> None:
    speech = np.linspace(-0.5, 0.4, 1000, dtype=np.float32)
    clipped = FurtherRecording([0], 0.0, clip_db).waveform([speech], 1600)
    limit = 0.5 * 10 ** (-clip_db / 20)
    assert np.abs(clipped).max() == pytest.approx(limit)
    inside = np.abs(speech) < limit
    assert np.array_equal(clipped[inside], speech[inside])
    nothing = FurtherRecording([0], 0.0, clip_db).waveform([np.zeros(0, dtype=np.float32)], 1600)
    assert len(nothing) == 0


@pytest.mark.parametrize(("space", "expected"), [(9, [1, 2, 9, 3]), (0, [1, 2, 3])])
def test_a_space_stands_between_transcripts_where_the_vocabulary_has_one(space: int, expected: list[int]) -> None:
    tokens = [torch.tensor([1, 2]), torch.tensor([3])]
    assert FurtherRecording([0, 1], 0.0, 0.0).tokens(tokens, space).tolist() == expected
    assert FurtherRecording([0], 0.0, 0.0).tokens(tokens[:1], space).tolist() == [1, 2]


def test_it_is_read_from_the_files_of_its_utterances(tmp_path: Path) -> None:
    utterances = make_utterances(tmp_path, 2)
    recording = FurtherRecording([0, 1], 0.1, 0.0)
    duration_s = sum(utterance.duration_s or 0.0 for utterance in utterances) + 0.1
    waveform = MadeOf(recording, utterances, duration_s).read(SAMPLE_RATE_HZ, 30.0)
    spoken = [read_waveform(utterance.audio, SAMPLE_RATE_HZ) for utterance in utterances]
    assert np.array_equal(waveform, recording.waveform(spoken, SAMPLE_RATE_HZ))
    assert len(waveform) == round(duration_s * SAMPLE_RATE_HZ)


def test_nothing_to_train_on_makes_no_recording() -> None:
    assert [*made(0, []), *made(3, []), *made(3, [[]])] == []
