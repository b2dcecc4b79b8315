"""Decoding: formats, channels, rates, and every way in which a file can be broken."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from ds2ray.config import AudioConfig
from ds2ray.errors import InputError
from ds2ray.sound.audio import num_feature_frames, probe, read_waveform, write_audio
from ds2ray.sound.pieces import read_pieces
from ds2ray.sound.resampling import change_speed, resample

RATE_HZ = 16000


def tone(seconds: float = 0.5, rate_hz: int = RATE_HZ, frequency_hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(int(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def encoded(waveform: np.ndarray, audio_format: str, rate_hz: int = RATE_HZ, subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, rate_hz, format=audio_format, subtype=subtype)
    return buffer.getvalue()


def loudest_hz(waveform: np.ndarray, rate_hz: int = RATE_HZ) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(np.argmax(spectrum) * rate_hz / len(waveform))


@pytest.mark.parametrize(("suffix", "tolerance"), [("wav", 1e-4), ("flac", 1e-4), ("pcm", 1e-4), ("ogg", 0.05)])
def test_formats_are_read_as_they_were_written(tmp_path: Path, suffix: str, tolerance: float) -> None:
    path = str(tmp_path / f"a.{suffix}")
    write_audio(path, tone(), RATE_HZ)
    waveform = read_waveform(path, RATE_HZ)
    assert waveform.dtype == np.float32
    assert waveform.shape == (8000,)
    np.testing.assert_allclose(waveform, tone(), atol=tolerance)
    info = probe(path)
    assert (info.sample_rate_hz, info.num_channels, info.num_samples, info.duration_s) == (RATE_HZ, 1, 8000, 0.5)


@pytest.mark.parametrize("suffix", ["ogg", "flac"])
def test_a_long_recording_is_written(tmp_path: Path, suffix: str) -> None:
    """libsndfile ends the process where it is handed as much at once."""
    path = str(tmp_path / f"a.{suffix}")
    write_audio(path, tone(170.0), RATE_HZ)
    assert probe(path).num_samples == 170 * RATE_HZ


def test_mp3() -> None:
    data = encoded(tone(2.0), "MP3")
    waveform = read_waveform(data, RATE_HZ)
    assert len(waveform) == probe(data).num_samples
    assert abs(len(waveform) - 2 * RATE_HZ) < 0.1 * RATE_HZ  # the encoder pads
    assert loudest_hz(waveform) == pytest.approx(440, abs=1)


def test_bytes_are_read_as_files_are(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    write_audio(str(path), tone(), RATE_HZ)
    assert np.array_equal(read_waveform(path.read_bytes(), RATE_HZ), read_waveform(str(path), RATE_HZ))
    assert probe(path.read_bytes()) == probe(str(path))


def test_channels_are_averaged() -> None:
    left, right = tone(frequency_hz=300), tone(frequency_hz=900)
    data = encoded(np.stack([left, right], axis=1), "WAV", subtype="FLOAT")
    assert probe(data).num_channels == 2
    np.testing.assert_allclose(read_waveform(data, RATE_HZ), (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 48000])
def test_other_rates_keep_pitch_and_length(rate_hz: int) -> None:
    data = encoded(tone(1.0, rate_hz), "WAV", rate_hz)
    waveform = read_waveform(data, RATE_HZ)
    assert abs(len(waveform) - RATE_HZ) <= 1
    assert loudest_hz(waveform) == pytest.approx(440, abs=1)
    assert np.abs(waveform[2000:-2000]).max() == pytest.approx(0.5, abs=0.01)


def test_resampling_to_the_same_rate_changes_nothing() -> None:
    assert np.array_equal(resample(tone(), RATE_HZ, RATE_HZ), tone())


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_speed_perturbation_changes_length_and_pitch(speed: float) -> None:
    changed = change_speed(tone(1.0), speed)
    assert abs(len(changed) - RATE_HZ / speed) <= 1
    assert loudest_hz(changed) == pytest.approx(440 * speed, abs=2)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    for name in ("none.wav", "none.pcm"):
        with pytest.raises(FileNotFoundError):
            probe(str(tmp_path / name))
        with pytest.raises(FileNotFoundError):
            read_waveform(str(tmp_path / name), RATE_HZ)


@pytest.mark.parametrize("name", ["a.wav", "a.pcm", "a.flac"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    for read in (probe, lambda uri: read_waveform(uri, RATE_HZ)):
        with pytest.raises(InputError, match="empty"):
            read(str(tmp_path / name))


def test_empty_bytes_and_a_header_without_samples_are_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        read_waveform(b"", RATE_HZ)
    nothing = encoded(tone(0.0), "WAV")
    for read in (probe, lambda data: read_waveform(data, RATE_HZ), lambda data: list(read_pieces(data, RATE_HZ))):
        with pytest.raises(InputError, match="no samples"):
            read(nothing)


@pytest.mark.parametrize("data", [b"this is no audio at all" * 40, b"RIFF", b"fLaC\x00\x00"])
def test_what_is_not_audio_is_refused_with_a_reason(data: bytes) -> None:
    for read in (probe, lambda content: read_waveform(content, RATE_HZ)):
        with pytest.raises(InputError, match="cannot be decoded as audio"):
            read(data)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_truncated_wav_is_refused_by_its_header(share: float) -> None:
    data = encoded(tone(), "WAV")
    for read in (probe, lambda content: read_waveform(content, RATE_HZ)):
        with pytest.raises(InputError, match="truncated"):
            read(data[: int(len(data) * share)])


@pytest.mark.parametrize("audio_format", ["FLAC", "OGG"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_other_truncated_files_never_pass_as_whole(audio_format: str, share: float) -> None:
    data = encoded(tone(2.0) + 0.1 * np.random.default_rng(0).standard_normal(32000).astype(np.float32), audio_format)
    with pytest.raises(InputError):
        read_waveform(data[: int(len(data) * share)], RATE_HZ)


@pytest.mark.parametrize("audio_format", ["wav", "flac", "ogg", "pcm"])
@pytest.mark.parametrize("rate_hz", [RATE_HZ, 8000])
def test_audio_that_is_too_long_is_refused(tmp_path: Path, audio_format: str, rate_hz: int) -> None:
    path = str(tmp_path / f"a.{audio_format}")
    write_audio(path, tone(), RATE_HZ)
    assert len(read_waveform(path, rate_hz, max_duration_s=0.5)) == rate_hz // 2
    with pytest.raises(InputError, match=r"^longer than 0\.4999 s$"):
        read_waveform(path, rate_hz, max_duration_s=0.4999)


def test_a_wav_of_a_program_that_streams_has_no_length_and_is_whole() -> None:
    data = bytearray(encoded(tone(), "WAV"))
    data[4:8] = b"\xff\xff\xff\xff"
    data[40:44] = b"\xff\xff\xff\xff"
    assert len(read_waveform(bytes(data), RATE_HZ)) == 8000


def test_an_odd_last_byte_of_pcm_is_no_sample(tmp_path: Path) -> None:
    samples = (tone() * 32767).astype("<i2")
    (tmp_path / "a.pcm").write_bytes(samples.tobytes() + b"\x01")
    assert probe(str(tmp_path / "a.pcm")).num_samples == len(samples)
    np.testing.assert_array_equal(read_waveform(str(tmp_path / "a.pcm"), RATE_HZ), samples / np.float32(32768))


def test_half_a_sample_of_pcm_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.pcm").write_bytes(b"\x00")
    for read in (probe, lambda uri: read_waveform(uri, RATE_HZ)):
        with pytest.raises(InputError, match="no samples"):
            read(str(tmp_path / "a.pcm"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(value: float) -> None:
    waveform = tone()
    waveform[100] = value
    with pytest.raises(InputError, match="not finite"):
        read_waveform(encoded(waveform, "WAV", subtype="FLOAT"), RATE_HZ)


def test_samples_beyond_full_scale_are_clipped_not_wrapped(tmp_path: Path) -> None:
    path = str(tmp_path / "a.pcm")
    write_audio(path, np.array([1.5, -1.5, 0.0], dtype=np.float32), RATE_HZ)
    np.testing.assert_allclose(read_waveform(path, RATE_HZ), [1.0, -1.0, 0.0], atol=1e-4)


@given(st.binary(max_size=200))
def test_noise_is_never_anything_but_refused(data: bytes) -> None:
    for read in (probe, lambda content: read_waveform(content, RATE_HZ)):
        with pytest.raises(InputError):
            read(data)


@given(st.integers(1, 400_000))
def test_a_feature_frame_begins_every_hop(num_samples: int) -> None:
    config = AudioConfig()
    assert num_feature_frames(num_samples, config) == 1 + num_samples // 160
