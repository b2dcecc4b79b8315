"""Excerpts of recordings as files of their own, with the samples, the rate and the channels that they have there."""

import math
import struct

import numpy as np

from ds2ray.errors import InputError
from ds2ray.sound.formats.opening import opened
from ds2ray.uris import Excerpt

_BLOCK_SAMPLES = 2**20
_FULL_SCALE = 32768.0
_PCM, _FLOAT = 1, 3  # what WAV calls the ways to write a sample
_MAX_BYTES = 2**32 - 1024  # of samples in a WAV file


def encoded_excerpt(audio: str | bytes, excerpt: Excerpt | None = None) -> bytes:
    """A WAV file of an excerpt; of joined recordings one for each, joined in the same way.

    Samples of 16 bits stay such, others become float32: none is changed. The same excerpt always gives the same bytes.

    Args:
        audio: the URI of an excerpt, or the bytes of a file …
        excerpt: … and the part of it that is wanted.

    Raises:
        FileNotFoundError: there is nothing at the URI.
        InputError: the file cannot be read, has no such part, or the part is too long for a WAV file.
    """
    with opened(audio, excerpt=excerpt) as parts:
        files = []
        for part in parts:
            blocks = list(part.decode(_BLOCK_SAMPLES, math.inf))
            files.append(_wav(np.concatenate([block for _, block in blocks]), blocks[0][0]))
    return b"".join(files)


def _wav(samples: np.ndarray, sample_rate_hz: int) -> bytes:
    """float32 [num_samples, C] as a WAV file: `RIFF` with the chunks `fmt `, `fact` and `data`."""
    whole = np.round(samples * _FULL_SCALE)
    is_pcm = bool((np.abs(whole + 0.5) <= _FULL_SCALE).all() and (whole / _FULL_SCALE == samples).all())
    data = whole.astype("<i2").tobytes() if is_pcm else samples.astype("<f4").tobytes()
    if len(data) > _MAX_BYTES:
        raise InputError("is too long for a file of its own (4 GB); cut it into shorter parts")
    num_channels, width = samples.shape[1], 2 if is_pcm else 4
    frame = num_channels * width
    kind = _PCM if is_pcm else _FLOAT
    chunks = struct.pack(
        "<4sIHHIIHHH", b"fmt ", 18, kind, num_channels, sample_rate_hz, sample_rate_hz * frame, frame, 8 * width, 0
    )
    chunks += struct.pack("<4sII", b"fact", 4, len(samples))
    chunks += struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"WAVE") + chunks
