"""Decoding with libsndfile: WAV, FLAC, Ogg, MP3, AIFF, AU, CAF, W64, NIST SPHERE and whatever else it knows."""

import math
from collections.abc import Iterator
from typing import BinaryIO, cast

import numpy as np
import soundfile

from ds2ray.errors import InputError
from ds2ray.sound.formats.faults import Watched, decoding
from ds2ray.sound.formats.info import AudioInfo, TooLong, checked_rate
from ds2ray.sound.formats.part import Part, first_sample

_UNKNOWN = 2**62  # libsndfile's number of samples where a header gives none is 2**63 - 1
_COUNTED_SAMPLES = 2**16  # at once, where they are only counted
_NO_SAMPLES = "holds no samples"
_SOUGHT = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
"""How the codings begin in which libsndfile finds a sample without those before it, FLAC's among them."""


class NotOpened(InputError):
    """libsndfile does not know what a file is, or not how it is coded."""


class _Forward(soundfile.SoundFile):
    """A sound file that is read from beginning to end.

    Of one that can be sought soundfile sets the position anew after every read, upon which the MP3 decoder has lost the
    bits that it kept for the next frame; and of others (GSM 6.10, G.721) it refuses to read all.
    """

    def seekable(self) -> bool:
        return False


def part(file: BinaryIO, exact: bool = True) -> Part:
    """A file, the whole of which libsndfile decodes.

    Args:
        exact: whether its header says how many samples there are; else they are decoded to be counted.
    """
    return Part(
        lambda: _measured(file, exact),
        lambda block, max_s: _decoded(file, block, max_s, exact),
        lambda block, start_s: decoded_from(file, block, start_s, exact),
    )


def decoded_from(
    file: BinaryIO, block_samples: int, start_s: float, exact: bool = True
) -> Iterator[tuple[int, np.ndarray]]:
    """As `Part.decode_from`; where the coding cannot be sought, what comes before is decoded and dropped."""
    return _decoded(file, block_samples, math.inf, exact, start_s)


def _measured(file: BinaryIO, exact: bool) -> AudioInfo:
    source, opened = _opened(file)
    with opened:
        rate_hz, channels, num_samples = checked_rate(opened.samplerate), opened.channels, opened.frames
        if not exact or num_samples >= _UNKNOWN:
            num_samples = sum(len(block) for block in _blocks(source, opened, _COUNTED_SAMPLES, opened.frames))
    if num_samples <= 0:
        raise InputError(_NO_SAMPLES)
    return AudioInfo(rate_hz, channels, num_samples)


def _decoded(
    file: BinaryIO, block_samples: int, max_duration_s: float, exact: bool, start_s: float = 0.0
) -> Iterator[tuple[int, np.ndarray]]:
    source, opened = _opened(file)
    num_samples = 0
    with opened:
        rate_hz, promised = checked_rate(opened.samplerate), opened.frames
        if exact and max_duration_s < promised / rate_hz < _UNKNOWN / rate_hz:
            raise TooLong
        start = first_sample(start_s, rate_hz)
        if 0 < start >= promised:
            return
        num_samples = _seek(source, opened, start)
        left = promised - num_samples
        for block in _blocks(source, opened, max(1, block_samples // opened.channels), left):
            unwanted = max(0, start - num_samples)
            num_samples += len(block)
            if unwanted < len(block):
                yield rate_hz, block[unwanted:]
    if num_samples == 0:
        raise InputError(_NO_SAMPLES)
    if exact and num_samples < promised < _UNKNOWN:
        raise InputError(f"is truncated: {num_samples} of {promised} samples can be read")


def _opened(file: BinaryIO) -> tuple[Watched, _Forward]:
    file.seek(0)
    source = Watched(file)
    try:
        with decoding(source):
            opened = _Forward(source)
    except InputError as error:
        raise NotOpened(str(error)) from error
    return source, opened


def _seek(source: Watched, opened: _Forward, start: int) -> int:
    """Go to a sample, where the coding has it; returns the sample that is read next."""
    if not start or not opened.subtype.startswith(_SOUGHT):
        return 0
    with decoding(source):
        return int(opened.seek(start))


def _blocks(source: Watched, opened: _Forward, num_samples: int, left: int) -> Iterator[np.ndarray]:
    """What is left of a file, which is no more than its header says: libsndfile gives no more."""
    while left > 0:
        with decoding(source):
            block = cast(np.ndarray, opened.read(min(num_samples, left), dtype="float32", always_2d=True))
        if len(block) == 0:
            return
        left -= len(block)
        yield block
