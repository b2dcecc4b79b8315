"""Reading piece by piece: the same sound as reading at once."""

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ds2ray.errors import InputError
from ds2ray.sound.audio import read_waveform, write_audio
from ds2ray.sound.pieces import read_pieces

RATE_HZ = 16000


def noise(num_samples: int, channels: int = 1) -> np.ndarray:
    draws = np.random.default_rng(0).standard_normal((num_samples, channels))
    return (0.1 * draws).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [8000, 11127, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("piece_s", [0.05, 1.0, 100.0])
def test_pieces_joined_are_the_whole(rate_hz: int, piece_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ds2ray.sound.pieces._BLOCK_SAMPLES", 4000)
    buffer = io.BytesIO()
    soundfile.write(buffer, noise(3 * rate_hz + 7, 2), rate_hz, format="WAV", subtype="FLOAT")
    pieces = list(read_pieces(buffer.getvalue(), RATE_HZ, piece_s))
    assert all(len(piece) == round(piece_s * RATE_HZ) for piece in pieces[:-1])
    np.testing.assert_allclose(np.concatenate(pieces), read_waveform(buffer.getvalue(), RATE_HZ), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "pcm"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    path = str(tmp_path / f"a.{suffix}")
    write_audio(path, noise(50_000)[:, 0], RATE_HZ)
    pieces = list(read_pieces(path, RATE_HZ, 1.0))
    assert [len(piece) for piece in pieces] == [16000, 16000, 16000, 2000]
    np.testing.assert_array_equal(np.concatenate(pieces), read_waveform(path, RATE_HZ))


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        next(read_pieces(str(tmp_path / "none.wav"), RATE_HZ))


def test_damage_comes_after_what_is_intact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ds2ray.sound.pieces._BLOCK_SAMPLES", 8000)
    path = tmp_path / "a.flac"
    write_audio(str(path), noise(80_000)[:, 0], RATE_HZ)
    path.write_bytes(path.read_bytes()[:-40_000])
    pieces = read_pieces(str(path), RATE_HZ, 1.0)
    assert len(next(pieces)) == RATE_HZ
    with pytest.raises(InputError):
        list(pieces)


@pytest.mark.parametrize("audio_format", ["WAV", "FLAC", "OGG", "MP3"])
def test_memory_does_not_grow_with_the_recording(tmp_path: Path, audio_format: str) -> None:
    path = tmp_path / "long.any"
    second = noise(44100)[:, 0]
    with soundfile.SoundFile(path, "w", 44100, 1, format=audio_format) as file:
        for _ in range(200):
            file.write(second)
    assert len(read_waveform(str(path), RATE_HZ)) == 200 * RATE_HZ  # with all that is imported on the way
    tracemalloc.start()
    try:
        assert sum(len(piece) for piece in read_pieces(str(path), RATE_HZ)) == 200 * RATE_HZ
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * 2**20  # all of it, at 44.1 kHz, takes 35 MB
