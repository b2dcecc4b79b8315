"""Raw samples in either byte order, as CMU Sphinx's corpora have them."""

import io
from pathlib import Path

import numpy as np
import pytest

from ds2ray.sound.audio import probe, read_encoded, read_waveform, write_audio
from ds2ray.sound.formats import raw
from ds2ray.sound.pieces import read_pieces

RATE_HZ = raw.PCM_SAMPLE_RATE_HZ
NOTES = {
    order: f"raw samples, read as 16-bit {name} mono at 16 kHz"
    for order, name in (("<", "little-endian"), (">", "big-endian"))
}


def voiced(level: float, seconds: float = 0.5, seed: int = 0) -> np.ndarray:
    """Noise with the fall of speech towards high frequencies, int16 [num_samples]."""
    noise = np.convolve(np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ)), np.ones(16), mode="same")
    return np.clip(level * 32767 * noise / np.abs(noise).max(), -32768, 32767).round().astype(np.int16)


def written(path: Path, samples: np.ndarray, order: str) -> str:
    path.write_bytes(samples.astype(f"{order}i2").tobytes())
    return str(path)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("level", [1.0, 0.1, 0.001, 3 / 32767])
@pytest.mark.parametrize("name", ["an4.raw", "AN4.RAW"])
def test_the_samples_tell_their_order(tmp_path: Path, order: str, level: float, name: str) -> None:
    samples = voiced(level)
    path = written(tmp_path / name, samples, order)
    notes: list[str] = []
    heard = read_waveform(path, RATE_HZ, tell=notes.append)
    np.testing.assert_array_equal(heard, samples.astype(np.float32) / 32768)
    assert notes == [NOTES[order]]
    assert probe(path).note == NOTES[order]
    assert probe(path).num_samples == len(samples)


@pytest.mark.parametrize("order", ["<", ">"])
def test_digital_silence_before_the_speech_tells_nothing(tmp_path: Path, order: str) -> None:
    samples = np.concatenate([np.zeros(5 * RATE_HZ, dtype=np.int16), voiced(0.1)])
    path = written(tmp_path / "late.raw", samples, order)
    notes: list[str] = []
    heard = np.concatenate(list(read_pieces(path, RATE_HZ, tell=notes.append)))
    np.testing.assert_array_equal(heard, samples.astype(np.float32) / 32768)
    assert notes == [NOTES[order]]


def test_silence_alone_and_an_odd_last_byte_are_read(tmp_path: Path) -> None:
    path = tmp_path / "silent.raw"
    path.write_bytes(bytes(2001))
    assert not read_waveform(str(path), RATE_HZ).any()
    assert probe(str(path)).num_samples == 1000


def test_an_excerpt_and_its_packed_copy_have_the_same_order(tmp_path: Path) -> None:
    samples = voiced(0.2)
    path = written(tmp_path / "a.raw", samples, ">")
    expected = samples.astype(np.float32) / 32768
    np.testing.assert_array_equal(read_waveform(f"{path}#t=0.1,0.3", RATE_HZ), expected[1600:4800])
    np.testing.assert_array_equal(read_waveform(read_encoded(path), RATE_HZ), expected)


def test_a_header_counts_more_than_the_name(tmp_path: Path) -> None:
    write_audio(str(tmp_path / "a.wav"), voiced(0.2).astype(np.float32) / 32768, 8000)
    (tmp_path / "a.raw").write_bytes((tmp_path / "a.wav").read_bytes())
    info = probe(str(tmp_path / "a.raw"))
    assert (info.sample_rate_hz, info.note) == (8000, "")
    assert read_encoded(str(tmp_path / "a.raw")) == (tmp_path / "a.wav").read_bytes()


def test_white_noise_that_fills_both_bytes_is_read_whatever_its_order() -> None:
    samples = np.random.default_rng(0).integers(-32768, 32767, 1000).astype("<i2")
    assert raw.order_of(io.BytesIO(samples.tobytes())) in (raw.LITTLE, raw.BIG)
