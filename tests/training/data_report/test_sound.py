"""What a sample of training data sounds like."""

from pathlib import Path

import numpy as np
import pytest
from shards import pack
from toy_speech import speak

from ds2ray.packs.references import read_packed_manifest
from ds2ray.tables.manifest import Utterance
from ds2ray.training.data_report.sound import hear_sample, heard, sample_places

RATE_HZ = 16000
DRAWS = np.random.default_rng(0)
NOISE = (0.1 * DRAWS.standard_normal(2 * RATE_HZ)).astype(np.float32)
SILENCE = (1e-4 * DRAWS.standard_normal(RATE_HZ)).astype(np.float32)


def test_silence_is_a_share_of_the_time() -> None:
    assert heard(np.concatenate([SILENCE, NOISE, SILENCE]), RATE_HZ).silence_share == pytest.approx(0.5, abs=0.02)
    assert heard(NOISE, RATE_HZ).silence_share == 0


def test_loud_noise_between_words_is_no_silence_and_quiet_noise_is() -> None:
    assert heard(np.concatenate([NOISE, 0.1 * NOISE]), RATE_HZ).silence_share == 0
    assert heard(np.concatenate([NOISE, 0.01 * NOISE]), RATE_HZ).silence_share == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("waveform", [np.zeros(RATE_HZ, np.float32), np.zeros(3, np.float32), np.zeros(0, np.float32)])
def test_nothing_but_zeros_is_silent(waveform: np.ndarray) -> None:
    assert heard(waveform, RATE_HZ).silence_share == 1


@pytest.mark.parametrize("highest_hz", [3400, 4000, 7000, 8000])
def test_bandwidth_is_what_the_sound_holds_whatever_its_rate(highest_hz: int) -> None:
    spectrum = np.fft.rfft(NOISE)
    spectrum[np.fft.rfftfreq(len(NOISE), 1 / RATE_HZ) > highest_hz] = 0
    sound = heard(np.fft.irfft(spectrum).astype(np.float32), RATE_HZ)
    assert sound.bandwidth_hz == pytest.approx(highest_hz, abs=150)


def test_clipped_sound_is_found_and_loud_sound_is_not() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32)
    assert heard(np.clip(2 * tone, -1, 1), RATE_HZ).is_clipped
    assert not heard(0.98 * tone, RATE_HZ).is_clipped
    assert heard(0.1 * tone, RATE_HZ).level_dbfs == pytest.approx(-23, abs=0.1)


def test_a_sample_is_spread_over_the_manifest(speech: list[Utterance]) -> None:
    told: list[tuple[int, int]] = []
    sample = hear_sample(speech, 7, RATE_HZ, tell=lambda done, of: told.append((done, of)))
    assert (sample.asked, sample.heard, sample.silent, sample.clipped) == (7, 7, 0, 0)
    assert told[-1] == (7, 7)
    assert hear_sample(speech, 7, RATE_HZ) == sample


def test_a_sample_of_shards_takes_few_row_groups_and_is_spread_over_them() -> None:
    groups = np.repeat(np.arange(40), 25)
    places = sample_places(groups, len(groups), 200)
    assert len(places) == 200
    assert list(np.unique(groups[places], return_counts=True)[1]) == [20] * 10
    assert groups[places].min() == 0
    assert groups[places].max() == 39
    assert len(sample_places(groups, len(groups), 3)) == 3
    assert list(sample_places(None, 5, 3)) == [0, 2, 4]
    assert list(sample_places(groups[:10], 10, 200)) == list(range(10))


def test_packed_speech_is_heard(speech: list[Utterance], tmp_path: Path) -> None:
    packed = read_packed_manifest(pack(tmp_path, speech[:9]))
    assert packed is not None
    sample = hear_sample(packed.utterances, 4, RATE_HZ)
    assert (sample.asked, sample.heard) == (4, 4)


def test_a_word_with_a_pause_is_heard_as_that() -> None:
    assert 0.2 < heard(speak("ab  cd"), RATE_HZ).silence_share < 0.5
