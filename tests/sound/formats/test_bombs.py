"""Audio whose header claims endless length, or whose few bytes are hours: refused, or read as far as it goes, in memory
that its own bytes or the longest utterance account for."""

import struct
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from sounds import encoded, warble

from ds2ray.errors import InputError
from ds2ray.sound.audio import probe, read_waveform

RATE_HZ = 16000
SPEECH = warble(RATE_HZ)
LONGEST_S = 30.0
MOST_BYTES = 24 * 2**20
"""Of a second of sound and of the block that is decoded at once, with copies; what the headers claim is 4 GB and up."""


def wav(claimed: int) -> bytes:
    """A second, in a file whose header claims so many bytes."""
    data = bytearray(encoded(SPEECH, "WAV", subtype="PCM_16"))
    data[4:8] = struct.pack("<I", claimed)
    place = data.index(b"data") + 4
    data[place : place + 4] = struct.pack("<I", claimed)
    return bytes(data)


def flac(claimed: int) -> bytes:
    """A second, in a file whose STREAMINFO (RFC 9639, 8.2) claims so many samples, of 36 bits; 0: unknown."""
    data = bytearray(encoded(SPEECH, "FLAC"))
    place = 4 + 4 + 13  # the mark, the block's header; its total begins with the lower half of this byte
    data[place] = data[place] & 0xF0 | claimed >> 32
    data[place + 1 : place + 5] = struct.pack(">I", claimed & 0xFFFFFFFF)
    return bytes(data)


def au(claimed: int) -> bytes:
    data = bytearray(encoded(SPEECH, "AU", subtype="PCM_16"))
    data[8:12] = struct.pack(">I", claimed)
    return bytes(data)


def aiff(claimed: int) -> bytes:
    data = bytearray(encoded(SPEECH, "AIFF", subtype="PCM_16"))
    place = data.index(b"COMM") + 10  # its number of frames
    data[place : place + 4] = struct.pack(">I", claimed)
    place = data.index(b"SSND") + 4
    data[place : place + 4] = struct.pack(">I", claimed)
    return bytes(data)


CLAIMS: dict[str, Callable[[], bytes]] = {
    "wav of 4 GB": lambda: wav(0xFFFFFFFE),
    "wav of a stream": lambda: wav(0xFFFFFFFF),
    "wav of 2 GB": lambda: wav(0x7FFFFFFE),
    "flac of 49 days": lambda: flac(2**36 - 1),
    "flac of a day": lambda: flac(86400 * RATE_HZ),
    "flac of unknown length": lambda: flac(0),
    "au of 4 GB": lambda: au(0xFFFFFFF0),
    "aiff of 4 GB": lambda: aiff(0xFFFFFFF0),
}


@contextmanager
def in_little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


def samples(read: Callable[[], int]) -> int:
    """How many samples there are; 0 where the file is refused."""
    try:
        return read()
    except InputError:
        return 0


@pytest.mark.parametrize("made", CLAIMS.values(), ids=CLAIMS)
def test_a_claimed_length_takes_no_memory(made: Callable[[], bytes]) -> None:
    data = made()
    with in_little_memory():
        assert samples(lambda: len(read_waveform(data, RATE_HZ, LONGEST_S))) in (0, len(SPEECH))
        measured = samples(lambda: probe(data).num_samples)
    # what is measured by a header that lies is longer than any utterance may be: such a row is left out
    assert measured in (0, len(SPEECH)) or measured > LONGEST_S * RATE_HZ


@pytest.mark.parametrize("minutes", [20])
def test_hours_of_silence_in_a_few_bytes_are_refused_before_they_are_decoded(minutes: int) -> None:
    data = encoded(np.zeros(minutes * 60 * RATE_HZ, np.int16), "FLAC")
    assert len(data) < 200_000
    with in_little_memory(), pytest.raises(InputError, match=r"longer than 30 s"):
        read_waveform(data, RATE_HZ, LONGEST_S)
    assert probe(data).num_samples == minutes * 60 * RATE_HZ


def test_a_file_that_hides_its_length_is_decoded_no_further_than_the_longest_utterance() -> None:
    data = bytearray(encoded(np.zeros(20 * 60 * RATE_HZ, np.int16), "FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    with in_little_memory(), pytest.raises(InputError):
        read_waveform(bytes(data), RATE_HZ, LONGEST_S)
