"""Windows of segments: nothing is lost between them, and no fault of one file reaches another."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ds2ray.demo.corpus import DemoCorpus
from ds2ray.recognition.listening import End, Reached, Window, windows
from ds2ray.sound.audio import read_waveform, write_audio
from ds2ray.sound.segments import SegmentRules
from ds2ray.tables.manifest import Utterance, read_manifest

RATE_HZ = 16000
RULES = SegmentRules(max_s=4.0)


@pytest.fixture(scope="module")
def utterances(small_corpus: DemoCorpus, tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    """Short ones, one of 13 s, one without speech, one that is missing and one that is cut off."""
    folder = tmp_path_factory.mktemp("listening")
    short = [str(utterance.audio) for utterance in read_manifest(small_corpus.test_manifest).utterances[:5]]
    pause = np.zeros(RATE_HZ, dtype=np.float32)
    long = np.concatenate([part for path in short for part in (read_waveform(path, RATE_HZ), pause)])
    write_audio(str(folder / "long.flac"), long, RATE_HZ)
    write_audio(str(folder / "silent.wav"), np.tile(pause, 6), RATE_HZ)
    (folder / "cut.flac").write_bytes((folder / "long.flac").read_bytes()[:-9000])
    paths = [*short, *(str(folder / name) for name in ("long.flac", "silent.wav", "missing.wav", "cut.flac"))]
    return [Utterance(Path(path).stem, "", path, None, "", line) for line, path in enumerate(paths)]


def listen(utterances: list[Utterance], window_s: float, rules: SegmentRules | None = RULES) -> list[Window]:
    return list(windows(utterances, RATE_HZ, rules, window_s))


@pytest.mark.parametrize("window_s", [0.1, 5.0, 1000.0])
def test_every_utterance_ends_once_after_all_its_parts(utterances: list[Utterance], window_s: float) -> None:
    ended: list[int] = []
    parts = []
    for window in listen(utterances, window_s):
        assert not {part.index for part in window.parts} & set(ended)
        ended += [end.index for end in window.ends]
        parts += window.parts
    assert sorted(ended) == list(range(len(utterances)))
    assert [sum(part.index == index for part in parts) for index in range(8)] == [1, 1, 1, 1, 1, 5, 0, 0]
    of_long = [part.segment.start_s for part in parts if part.index == 5]
    assert of_long == sorted(of_long)


def test_a_window_holds_little_more_than_its_seconds(utterances: list[Utterance]) -> None:
    for window in listen(utterances, 5.0):
        assert sum(len(part.segment.waveform) for part in window.parts) <= (5.0 + RULES.max_s) * RATE_HZ


def test_faults_are_told_with_their_file(utterances: list[Utterance]) -> None:
    problems = {end.index: end.problem for window in listen(utterances, 5.0) for end in window.ends if end.problem}
    assert sorted(problems) == [7, 8]
    assert problems[7] == "there is no such file"


def test_without_rules_each_file_is_one_part(utterances: list[Utterance]) -> None:
    (window,) = listen(utterances[:7], 1000.0, None)
    assert sorted(part.index for part in window.parts) == list(range(7))
    for part in window.parts:
        expected = read_waveform(utterances[part.index].audio, RATE_HZ)
        np.testing.assert_array_equal(part.segment.waveform, expected)
        assert part.segment.start_s == 0.0
    assert window.ends == [End(part.index) for part in window.parts]


def test_nothing_to_read() -> None:
    assert listen([], 5.0) == []


def test_how_far_within_a_long_one_is_known(utterances: list[Utterance]) -> None:
    """13 s in segments of 4 s at most: each window reaches further, and the last one the end."""
    long = replace(utterances[5], duration_s=len(read_waveform(utterances[5].audio, RATE_HZ)) / RATE_HZ)
    silent = replace(utterances[6], duration_s=6.0)
    reached = Reached([long, silent], RATE_HZ)
    seconds = [reached.after(window) for window in listen([long, silent], 0.1)]
    assert len(seconds) >= 5
    assert seconds == sorted(seconds)
    assert seconds[0] < reached.total_s / 2
    assert seconds[-1] == reached.total_s == (long.duration_s or 0.0) + 6.0
    assert Reached(utterances, RATE_HZ).total_s == 0  # where the length of one is not known
