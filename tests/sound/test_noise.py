"""Noise from a folder: how loud it is, and how it is drawn."""

import random
from pathlib import Path

import numpy as np
import pytest
from toy_speech import AUDIO, SAMPLE_RATE_HZ, VOCABULARY, make_utterances

from ds2ray.batching.batches import SpeechDataset
from ds2ray.config import AugmentConfig
from ds2ray.errors import InputError
from ds2ray.sound.audio import write_audio
from ds2ray.sound.noise import NoiseFolder, add_noise

DRAWS = np.random.default_rng(0)
SPEECH = DRAWS.standard_normal(4000).astype(np.float32)
HUM = (0.01 * DRAWS.standard_normal(1500)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    write_audio(str(tmp_path / "hum.wav"), HUM, SAMPLE_RATE_HZ)
    write_audio(str(tmp_path / "deep" / "hiss.flac"), -HUM[:900], SAMPLE_RATE_HZ)
    (tmp_path / "LICENSE").write_text("free")
    return tmp_path


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_noise_is_as_loud_as_the_ratio_says(snr_db: float) -> None:
    added = add_noise(SPEECH, HUM, 700, snr_db) - SPEECH
    assert 10 * np.log10(np.mean(SPEECH**2) / np.mean(added**2)) == pytest.approx(snr_db, abs=1e-3)
    expected = np.concatenate([HUM[700:], HUM, HUM, HUM])[:4000]  # over and over
    np.testing.assert_allclose(added / np.abs(added).max(), expected / np.abs(expected).max(), atol=1e-4)


def test_silence_is_not_amplified() -> None:
    silence = np.zeros(1000, dtype=np.float32)
    assert add_noise(SPEECH, silence, 0, 10) is SPEECH
    assert add_noise(silence, HUM, 0, 10) is silence


def test_a_share_of_the_utterances_gets_noise(folder: Path) -> None:
    noise = NoiseFolder(AugmentConfig(noise_dir=str(folder), noise_share=0.3), SAMPLE_RATE_HZ)
    assert [Path(uri).name for uri in noise.uris] == ["hiss.flac", "hum.wav"]
    mixed = [noise.mix(SPEECH, random.Random(seed)) for seed in range(200)]
    assert 40 <= sum(result is not SPEECH for result in mixed) <= 80
    again = noise.mix(SPEECH, random.Random(7))
    assert np.array_equal(again, mixed[7])


def test_a_broken_recording_is_left_out_and_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path in folder.rglob("h*.*"):
        path.write_bytes(b"RIFF")
    noise = NoiseFolder(AugmentConfig(noise_dir=str(folder), noise_share=1.0), SAMPLE_RATE_HZ)
    for seed in range(8):
        assert noise.mix(SPEECH, random.Random(seed)) is SPEECH
    assert sorted(record.getMessage().split(": ")[1] for record in caplog.records) == noise.uris  # each of them once


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_without_audio_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"train\.augment\.noise_dir=.*no audio in it"):
        NoiseFolder(AugmentConfig(noise_dir=str(tmp_path / name)), SAMPLE_RATE_HZ)


def test_a_data_set_draws_noise_by_utterance_and_epoch(folder: Path, tmp_path: Path) -> None:
    utterances = make_utterances(tmp_path, 4)
    noise = NoiseFolder(AugmentConfig(noise_dir=str(folder), noise_share=1.0), SAMPLE_RATE_HZ)
    plain = SpeechDataset(utterances, VOCABULARY, AUDIO)
    noisy = SpeechDataset(utterances, VOCABULARY, AUDIO, noise=noise)
    first = [noisy[index].waveform for index in range(4)]
    assert all((first[index] - plain[index].waveform).abs().max() > 0 for index in range(4))
    assert all((noisy[index].waveform == first[index]).all() for index in (3, 1, 0, 2))
    noisy.epoch = 1
    assert any((noisy[index].waveform != first[index]).any() for index in range(4))
