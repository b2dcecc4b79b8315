"""Reading long recordings piece by piece, in memory that does not grow with their length."""

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

from ds2ray.errors import InputError
from ds2ray.sound.channels import Mixer
from ds2ray.sound.formats.opening import opened
from ds2ray.sound.resampling import Resampler

_BLOCK_SAMPLES = 2**18
"""Samples, over all channels, that are decoded at once."""


def untold(note: str) -> None:
    """Tells nobody."""


def read_pieces(
    audio: str | bytes, sample_rate_hz: int, piece_s: float = 30.0, tell: Callable[[str], None] = untold
) -> Iterator[np.ndarray]:
    """`read_pieces`: decode a URI or encoded bytes to mono at `sample_rate_hz`, piece by piece, whatever the format.

    The pieces, joined, are what `read_waveform` gives, and no more than a few of them are in memory at a time.

    Args:
        audio: a URI, also of audio in a shard, or the bytes of a file.
        piece_s: seconds of each piece; the last one is shorter.
        tell: told at the end how it was read and its channels mixed, where that is worth a note.

    Yields:
        float32 [num_samples], full scale at -1 and 1; at least one piece.

    Raises:
        FileNotFoundError: there is nothing at the URI.
        InputError: empty, not audio, truncated, or with samples that are not finite: perhaps not before the last piece.
    """
    size = max(1, round(piece_s * sample_rate_hz))
    held: list[np.ndarray] = []
    num_held = 0
    for waveform in waveforms(audio, sample_rate_hz, _BLOCK_SAMPLES, tell):
        held.append(waveform)
        num_held += len(waveform)
        if num_held < size:
            continue
        joined = np.concatenate(held)
        for start in range(0, num_held - size + 1, size):
            yield joined[start : start + size]
        held = [joined[num_held // size * size :].copy()]
        num_held = len(held[0])
    if num_held:
        yield np.concatenate(held)


def waveforms(
    audio: str | bytes,
    sample_rate_hz: int,
    block_samples: int,
    tell: Callable[[str], None] = untold,
    at_once: bool = False,
) -> Iterator[np.ndarray]:
    """As `read_pieces`, in pieces as they come out of the decoder, some of them empty."""
    notes: list[str] = []
    with opened(audio, at_once) as parts:
        for part in parts:
            mixer = Mixer()
            blocks = part.decode(block_samples, math.inf)
            rate_hz, first = next(blocks)
            resampler = Resampler(rate_hz, sample_rate_hz)
            for _, block in itertools.chain([(rate_hz, first)], blocks):
                mono = mixer.mix(block)
                if not np.isfinite(mono).all():
                    raise InputError("holds samples that are not finite")
                yield resampler.push(mono)
            yield resampler.finish()
            notes += [note for note in (part.note, mixer.note) if note]
    for note in dict.fromkeys(notes):
        tell(note)
