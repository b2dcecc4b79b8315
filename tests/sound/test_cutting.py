"""Recordings are cut into segments that hold their speech, wherever they are read from."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2ray.demo.corpus import DemoCorpus
from ds2ray.sound import cutting
from ds2ray.sound.audio import read_waveform, resample
from ds2ray.sound.cutting import Segment, cut, cut_all
from ds2ray.sound.segments import SegmentRules
from ds2ray.sound.voice_activity import SAMPLE_RATE_HZ
from ds2ray.tables.manifest import read_manifest

RULES = SegmentRules(max_s=30.0)


@pytest.fixture(scope="module")
def voices(small_corpus: DemoCorpus) -> list[np.ndarray]:
    utterances = read_manifest(small_corpus.test_manifest).utterances
    return [read_waveform(utterance.audio, SAMPLE_RATE_HZ) for utterance in utterances]


def silence(seconds: float, sample_rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    return np.zeros(round(seconds * sample_rate_hz), dtype=np.float32)


def with_pauses(voices: list[np.ndarray], pause_s: float) -> np.ndarray:
    return np.concatenate([silence(pause_s), *(part for voice in voices for part in (voice, silence(pause_s)))])


def assert_equal(segments: list[Segment], others: list[Segment]) -> None:
    assert [segment.start_s for segment in segments] == [segment.start_s for segment in others]
    for segment, other in zip(segments, others, strict=True):
        np.testing.assert_array_equal(segment.waveform, other.waveform)


@pytest.mark.parametrize("sample_rate_hz", [8000, 16000, 22050])
def test_sentences_with_pauses_between_them(voices: list[np.ndarray], sample_rate_hz: int) -> None:
    recording = resample(with_pauses(voices, 1.5), SAMPLE_RATE_HZ, sample_rate_hz)
    segments = list(cut([recording], sample_rate_hz, RULES))
    assert len(segments) == len(voices)
    start_s = 1.5
    for segment, voice in zip(segments, voices, strict=True):
        start = round(segment.start_s * sample_rate_hz)
        np.testing.assert_array_equal(segment.waveform, recording[start : start + len(segment.waveform)])
        end_s = segment.start_s + len(segment.waveform) / sample_rate_hz
        assert start_s - 0.3 <= segment.start_s <= start_s + 0.1
        voice_end_s = start_s + len(voice) / SAMPLE_RATE_HZ
        assert voice_end_s - 0.1 <= end_s <= voice_end_s + 0.3
        start_s = voice_end_s + 1.5


@settings(max_examples=6)
@given(data=st.data())
def test_segments_are_the_same_wherever_pieces_end(voices: list[np.ndarray], data: st.DataObject) -> None:
    recording = with_pauses(voices, 0.7)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(recording)), max_size=8)))
    found = list(cut(np.split(recording, cuts), SAMPLE_RATE_HZ, RULES))
    assert_equal(found, list(cut([recording], SAMPLE_RATE_HZ, RULES)))
    assert len(found) == len(voices)


def test_speech_without_a_pause_is_cut_at_the_longest_allowed(voices: list[np.ndarray]) -> None:
    speech = np.tile(np.concatenate(voices), 2)
    segments = list(cut([speech], SAMPLE_RATE_HZ, SegmentRules(max_s=3.0, split_pause_s=9.0, long_pause_s=9.0)))
    assert all(len(segment.waveform) <= 3 * SAMPLE_RATE_HZ for segment in segments)
    assert sum(len(segment.waveform) for segment in segments) > 0.9 * len(speech)


def test_hours_take_no_more_memory_than_a_few_pieces(voices: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    held = []
    append = cutting._Samples.append

    def watched(samples: cutting._Samples, piece: np.ndarray) -> None:
        append(samples, piece)
        held.append(len(samples._kept))

    monkeypatch.setattr(cutting._Samples, "append", watched)
    minute = np.resize(with_pauses(voices, 0.7), 60 * SAMPLE_RATE_HZ)

    def pieces() -> Iterator[np.ndarray]:
        for _ in range(4):
            yield from np.split(minute, 6)

    assert list(cut(pieces(), SAMPLE_RATE_HZ, SegmentRules(max_s=5.0)))
    assert max(held) < (5 + 10 + 16 + 10) * SAMPLE_RATE_HZ
    assert max(held[-6:]) <= max(held[:12])


def test_short_recordings_together_are_each_as_in_pieces(voices: list[np.ndarray]) -> None:
    recordings = [with_pauses([voice], 0.5 + 0.2 * number) for number, voice in enumerate(voices[:4])]
    for waveform, segments in zip(recordings, cut_all(recordings, SAMPLE_RATE_HZ, RULES), strict=True):
        assert_equal(segments, list(cut([waveform], SAMPLE_RATE_HZ, RULES)))
        assert len(segments) == 1


def test_a_recording_that_is_nothing_but_speech_is_one_segment(voices: list[np.ndarray]) -> None:
    for waveform, segments in zip(voices, cut_all(voices, SAMPLE_RATE_HZ, RULES), strict=True):
        assert_equal(segments, [Segment(0.0, waveform)])


def sounds_without_speech() -> dict[str, np.ndarray]:
    draws = np.random.default_rng(0)
    num_samples = 5 * SAMPLE_RATE_HZ
    time_s = np.arange(num_samples) / SAMPLE_RATE_HZ
    white = draws.standard_normal(num_samples)
    brown = np.cumsum(white) - np.convolve(np.cumsum(white), np.ones(801) / 801, mode="same")
    clicks = np.where(draws.random(num_samples) < 3 / SAMPLE_RATE_HZ, 0.8, 0.0)
    sounds = {"silence": np.zeros(num_samples), "clicks": clicks}
    sounds |= {f"white at {level_db} dB": 10 ** (level_db / 20) * white for level_db in (-80, -60, -40, -20, -10)}
    sounds |= {f"brown at {level_db} dB": 10 ** (level_db / 20) * brown / brown.std() for level_db in (-60, -20)}
    sounds |= {
        f"hum of {hz} Hz": 0.1 * np.sum([np.sin(2 * np.pi * hz * k * time_s) / k for k in range(1, 6)], axis=0)
        for hz in (50, 120)
    }
    return sounds


@pytest.mark.parametrize(("name", "sound"), sounds_without_speech().items())
def test_no_speech_is_found_where_nobody_speaks(name: str, sound: np.ndarray) -> None:
    recording = sound.astype(np.float32)
    assert cut_all([recording], SAMPLE_RATE_HZ, RULES) == [[]], name
    assert list(cut([recording], SAMPLE_RATE_HZ, RULES)) == [], name
