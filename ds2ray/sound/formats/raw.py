"""Raw PCM: 16-bit little-endian mono at 16 kHz without any header, as KoSpeech keeps it."""

import math
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from ds2ray.errors import InputError
from ds2ray.sound.formats.info import AudioInfo, TooLong
from ds2ray.sound.formats.part import Part, first_sample

PCM_SAMPLE_RATE_HZ = 16000
PCM_BYTES_PER_SAMPLE = 2
PCM_SUFFIX = ".pcm"


def info(size_bytes: int) -> AudioInfo:
    """How long so many bytes are. An odd last byte, which some corpora have, is no sample.

    Raises:
        InputError: there is not one sample.
    """
    if size_bytes < PCM_BYTES_PER_SAMPLE:
        raise InputError("is empty (0 bytes)" if size_bytes == 0 else "holds no samples")
    return AudioInfo(PCM_SAMPLE_RATE_HZ, 1, size_bytes // PCM_BYTES_PER_SAMPLE)


def part(file: BinaryIO, size_bytes: int) -> Part:
    """A file of samples alone."""
    return Part(
        lambda: info(size_bytes),
        lambda block, max_s: _decoded(file, size_bytes, block, max_s),
        lambda block, start_s: _decoded(file, size_bytes, block, start=first_sample(start_s, PCM_SAMPLE_RATE_HZ)),
    )


def _decoded(
    file: BinaryIO, size_bytes: int, block_samples: int, max_duration_s: float = math.inf, start: int = 0
) -> Iterator[tuple[int, np.ndarray]]:
    known = info(size_bytes)
    if known.duration_s > max_duration_s:
        raise TooLong
    left = max(0, known.num_samples - start)
    file.seek(start * PCM_BYTES_PER_SAMPLE)
    while left:
        data = file.read(min(left, block_samples) * PCM_BYTES_PER_SAMPLE)
        samples = np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2")
        if len(samples) == 0:
            raise InputError(f"is truncated: {left} samples of its {size_bytes} bytes cannot be read")
        left -= len(samples)
        yield PCM_SAMPLE_RATE_HZ, (samples.astype(np.float32) / 32768.0)[:, None]
