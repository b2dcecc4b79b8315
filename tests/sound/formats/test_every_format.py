"""Every format that soundfile writes is read right; damaged files are read or refused, and nothing else happens."""

import io
import random
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import RATE_HZ, encoded, likeness, warble, written

from ds2ray.errors import InputError
from ds2ray.sound.audio import probe, read_waveform
from ds2ray.sound.pieces import read_pieces

WRITTEN = list(written())
LENGTH_IN_HEADER = {"AIFF", "AU", "CAF", "FLAC", "MP3", "NIST", "OGG", "RF64", "W64", "WAV", "WAVEX"}
READERS: list[Callable[[bytes], object]] = [
    probe,
    lambda data: read_waveform(data, RATE_HZ, max_duration_s=30.0),
    lambda data: list(read_pieces(data, RATE_HZ)),
]


@pytest.mark.parametrize(("audio_format", "subtype"), WRITTEN)
def test_what_was_written_is_read(audio_format: str, subtype: str) -> None:
    data = encoded(warble(), audio_format, subtype=subtype)
    measured = probe(data)
    waveform = read_waveform(data, measured.sample_rate_hz)
    assert measured.sample_rate_hz == pytest.approx(RATE_HZ, rel=0.01)  # VOC keeps a rate in eight bits
    assert measured.num_samples == len(waveform)
    assert abs(len(waveform) - 2 * RATE_HZ) < 0.04 * RATE_HZ  # a coder fills its last block
    assert likeness(warble()[:-1300], waveform) > 0.98


@pytest.mark.parametrize(("audio_format", "subtype"), WRITTEN)
def test_pieces_are_the_whole(audio_format: str, subtype: str) -> None:
    data = encoded(warble(), audio_format, subtype=subtype)
    rate_hz = probe(data).sample_rate_hz
    pieces = list(read_pieces(data, rate_hz, 0.5))
    assert len(pieces) > 3
    np.testing.assert_allclose(np.concatenate(pieces), read_waveform(data, rate_hz), atol=1e-6)


@pytest.mark.parametrize(("audio_format", "subtype"), [pair for pair in WRITTEN if pair[0] in LENGTH_IN_HEADER])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_file_never_passes_as_whole(audio_format: str, subtype: str, share: float) -> None:
    data = encoded(warble(), audio_format, subtype=subtype)
    with pytest.raises(InputError):
        read_waveform(data[: int(share * len(data))], RATE_HZ)


@pytest.mark.parametrize(("audio_format", "subtype"), WRITTEN)
def test_damage_is_refused_or_read_and_never_anything_else(audio_format: str, subtype: str) -> None:
    intact = encoded(warble(4000), audio_format, subtype=subtype)
    draws = random.Random(f"{audio_format}/{subtype}")
    outcomes = []
    for _ in range(12):
        data = bytearray(intact)
        if draws.random() < 0.3:
            del data[draws.randrange(1, len(data)) :]
        for _ in range(draws.choice([1, 2, 8])):
            data[draws.randrange(min(len(data), draws.choice([200, 10**6])))] = draws.choice(
                [0, 255, draws.randrange(256)]
            )
        outcomes += [outcome(read, bytes(data)) for read in READERS]
    assert set(outcomes) <= {"read", "refused"}


def outcome(read: Callable[[bytes], object], data: bytes) -> str:
    try:
        read(data)
    except InputError as error:
        return "refused" if str(error) else "without a reason"
    return "read"


@settings(max_examples=60)
@given(
    st.sampled_from(["WAV", "FLAC", "OGG", "MP3", "AIFF", "NIST", "W64", "CAF", "AU"]),
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=6),
)
def test_no_header_is_worse_than_refused(audio_format: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(encoded(warble(2000), audio_format))
    for place, byte in changes:
        data[place] = byte
    assert {outcome(read, bytes(data)) for read in READERS} <= {"read", "refused"}


def test_a_header_that_promises_terabytes_costs_no_memory() -> None:
    data = bytearray(encoded(warble(4000), "FLAC"))
    data[21:26] = bytes([data[21] | 0x0F, 0xFF, 0xFF, 0xFF, 0xFF])  # 2**36 - 1 samples
    with pytest.raises(InputError, match="truncated"):
        read_waveform(bytes(data), RATE_HZ)


def test_a_flac_of_a_pipe_does_not_know_its_length() -> None:
    data = bytearray(encoded(warble(), "FLAC"))
    data[21:26] = bytes([data[21] & 0xF0, 0, 0, 0, 0])
    assert probe(bytes(data)).num_samples == len(read_waveform(bytes(data), RATE_HZ)) == 2 * RATE_HZ


@pytest.mark.parametrize("rate_hz", [1, 999, 1_000_001, 2**31 - 1])
def test_a_rate_that_no_sound_has_is_refused(rate_hz: int) -> None:
    data = bytearray(encoded(warble(4000), "WAV"))
    data[24:28] = rate_hz.to_bytes(4, "little")
    for read in READERS:
        with pytest.raises(InputError, match=f"{rate_hz} Hz"):
            read(bytes(data))


def test_a_dump_of_an_instrument_is_refused() -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, warble(4000), RATE_HZ, format="SDS", subtype="PCM_16")
    for read in READERS:
        with pytest.raises(InputError, match="instrument"):
            read(buffer.getvalue())


class TestWhateverADecoderRaises:
    """A decoding library may raise what it likes: it is the audio's fault, and only that of the audio."""

    @pytest.mark.parametrize(
        "error", [ValueError("x"), RuntimeError("x"), KeyError("x"), AssertionError(), OSError(5, "x")]
    )
    @pytest.mark.parametrize("method", ["__init__", "read"])
    def test_it_is_refused(self, error: Exception, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: object, **settings: object) -> None:
            raise error

        data = encoded(warble(4000), "FLAC")
        monkeypatch.setattr(soundfile.SoundFile, method, fail)
        with pytest.raises(InputError, match="cannot be decoded"):
            read_waveform(data, RATE_HZ)

    @pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt()])
    def test_what_is_not_the_audio_s_fault_stays_what_it_is(
        self, error: BaseException, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: object, **settings: object) -> None:
            raise error

        monkeypatch.setattr(soundfile.SoundFile, "read", fail)
        with pytest.raises(type(error)):
            read_waveform(encoded(warble(4000), "WAV"), RATE_HZ)
