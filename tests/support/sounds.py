"""Audio of every format that soundfile writes, and how alike two waveforms are."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases" / "audio"
"""Samples of files that people have; tests that use them are skipped where they are absent."""

RATE_HZ = 16000


def warble(num_samples: int = 2 * RATE_HZ, rate_hz: int = RATE_HZ, seed: int = 0) -> np.ndarray:
    """Gliding tones and a little noise, float32 [num_samples]: no stretch of it sounds like another."""
    seconds = np.arange(num_samples) / rate_hz
    phase = 2 * np.pi * (300 + 40 * seed + 120 * seconds) * seconds
    tones = np.sin(phase) * (1 + np.sin(7 * seconds)) / 2
    return (0.3 * tones + 0.005 * np.random.default_rng(seed).standard_normal(num_samples)).astype(np.float32)


def encoded(waveform: np.ndarray, audio_format: str, rate_hz: int = RATE_HZ, subtype: str | None = None) -> bytes:
    """A whole audio file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, rate_hz, format=audio_format, subtype=subtype)
    return buffer.getvalue()


def likeness(waveform: np.ndarray, other: np.ndarray, longest_delay: int = 1200) -> float:
    """The correlation of two waveforms, the second of which a coder may have delayed, where it is greatest."""
    length = min(len(waveform), len(other) - longest_delay)
    windows = np.lib.stride_tricks.sliding_window_view(other[: length + longest_delay], length)
    products = windows @ waveform[:length]
    power = np.array([np.dot(window, window) for window in windows])
    return float(np.max(products / np.sqrt(power * np.dot(waveform[:length], waveform[:length]) + 1e-12)))


def written() -> Iterator[tuple[str, str]]:
    """Every format and subtype that soundfile writes and that holds sound of any rate, 8 and 16 kHz among them."""
    odd = {"RAW", "SD2", "SDS", "XI", "WVE"}  # without a header, in two files, of instruments, of 8 kHz alone
    for audio_format in sorted(set(soundfile.available_formats()) - odd):
        for subtype in sorted(soundfile.available_subtypes(audio_format)):
            try:
                encoded(np.zeros(4000, dtype=np.float32), audio_format, subtype=subtype)
            except soundfile.LibsndfileError:
                continue
            yield audio_format, subtype
