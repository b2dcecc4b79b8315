"""Raw PCM: 16-bit mono at 16 kHz without any header.

`.pcm` is little-endian, as KoSpeech keeps it. `.raw` of CMU Sphinx's corpora has either order, AN4's is big-endian:
there the samples tell.
"""

import math
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from ds2ray.errors import InputError
from ds2ray.sound.formats.info import AudioInfo, TooLong
from ds2ray.sound.formats.part import Part, first_sample

PCM_SAMPLE_RATE_HZ = 16000
PCM_BYTES_PER_SAMPLE = 2
PCM_SUFFIX, RAW_SUFFIX = ".pcm", ".raw"
LITTLE, BIG = "<", ">"
"""Byte orders, as numpy writes them."""

_ORDERS = {LITTLE: "little-endian", BIG: "big-endian"}
_HEARD_BYTES = 2**16
"""Bytes that are looked at together for their order: two seconds."""


def order_of(file: BinaryIO) -> str:
    """The byte order in which the samples vary least from one to the next.

    In the wrong one the low byte, which is noise, is the high one. Where no samples tell, as in digital silence, it is
    little-endian.
    """
    file.seek(0)
    while len(data := file.read(_HEARD_BYTES)) >= 2 * PCM_BYTES_PER_SAMPLE:
        little, big = (_variation(data, order) for order in (LITTLE, BIG))
        if little != big:
            return LITTLE if little < big else BIG
    return LITTLE


def _variation(data: bytes, order: str) -> int:
    samples = np.frombuffer(data[: len(data) // 2 * 2], dtype=f"{order}i2").astype(np.int64)
    return int(np.abs(np.diff(samples)).sum())


def in_order(data: bytes, order: str) -> bytes:
    """Samples of a byte order as little-endian ones; an odd last byte is left out."""
    return np.frombuffer(data[: len(data) // 2 * 2], dtype=f"{order}i2").astype("<i2").tobytes()


def order_note(order: str) -> str:
    """What is said where the samples told their order."""
    return f"raw samples, read as 16-bit {_ORDERS[order]} mono at {PCM_SAMPLE_RATE_HZ // 1000} kHz"


def info(size_bytes: int, note: str = "") -> AudioInfo:
    """How long so many bytes are. An odd last byte, which some corpora have, is no sample.

    Raises:
        InputError: there is not one sample.
    """
    if size_bytes < PCM_BYTES_PER_SAMPLE:
        raise InputError("is empty (0 bytes)" if size_bytes == 0 else "holds no samples")
    return AudioInfo(PCM_SAMPLE_RATE_HZ, 1, size_bytes // PCM_BYTES_PER_SAMPLE, note)


def part(file: BinaryIO, size_bytes: int, order: str = LITTLE, note: str = "") -> Part:
    """A file of samples alone, in a byte order."""
    return Part(
        lambda: info(size_bytes, note),
        lambda block, max_s: _decoded(file, size_bytes, order, block, max_s),
        lambda block, start_s: _decoded(
            file, size_bytes, order, block, start=first_sample(start_s, PCM_SAMPLE_RATE_HZ)
        ),
        note,
    )


def _decoded(
    file: BinaryIO, size_bytes: int, order: str, block_samples: int, max_duration_s: float = math.inf, start: int = 0
) -> Iterator[tuple[int, np.ndarray]]:
    known = info(size_bytes)
    if known.duration_s > max_duration_s:
        raise TooLong
    left = max(0, known.num_samples - start)
    file.seek(start * PCM_BYTES_PER_SAMPLE)
    while left:
        data = file.read(min(left, block_samples) * PCM_BYTES_PER_SAMPLE)
        samples = np.frombuffer(data[: len(data) // 2 * 2], dtype=f"{order}i2")
        if len(samples) == 0:
            raise InputError(f"is truncated: {left} samples of its {size_bytes} bytes cannot be read")
        left -= len(samples)
        yield PCM_SAMPLE_RATE_HZ, (samples.astype(np.float32) / 32768.0)[:, None]
