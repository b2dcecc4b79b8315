"""Files that people have, and siblings of each: what was said in them is read, all of it."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sounds import CASES, RATE_HZ, encoded, likeness, warble

from ds2ray.errors import InputError
from ds2ray.sound.audio import probe, read_encoded, read_waveform
from ds2ray.sound.pieces import read_pieces

SENTENCE = "m44.mp3"
"""Intact; the others hold the same sentence."""

needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not here")


@needs_cases
class TestSamples:
    @pytest.mark.parametrize(
        ("name", "least"),
        [
            ("wav_gsm610.wav", 0.9),
            ("vbr_no_xing.mp3", 0.95),
            ("raw_odd.pcm", 0.98),
            ("stream_sox.wav", 0.98),
            ("stream_36_0.wav", 0.98),
            ("stereo_opposite.wav", 0.98),
        ],
    )
    def test_the_sentence_is_read_to_its_end(self, name: str, least: float) -> None:
        intact = read_waveform(str(CASES / SENTENCE), RATE_HZ)
        waveform = read_waveform(str(CASES / name), RATE_HZ)
        assert abs(len(waveform) - len(intact)) < 0.02 * RATE_HZ
        assert likeness(intact[:-1300], waveform) > least
        assert abs(probe(str(CASES / name)).duration_s - len(waveform) / RATE_HZ) < 1e-4
        np.testing.assert_allclose(np.concatenate(list(read_pieces(str(CASES / name), RATE_HZ))), waveform, atol=1e-5)

    def test_both_streams_of_a_chain_are_read(self) -> None:
        intact = read_waveform(str(CASES / SENTENCE), RATE_HZ)
        waveform = read_waveform(str(CASES / "ogg_streams.ogg"), RATE_HZ)
        half = len(waveform) // 2
        assert half == 30507
        for part in (waveform[:half], waveform[half:]):
            assert likeness(intact[:-1300], part) > 0.95
        assert probe(str(CASES / "ogg_streams.ogg")).num_samples == len(waveform)

    def test_silence_is_silent(self) -> None:
        assert not read_waveform(str(CASES / "silence.wav"), RATE_HZ).any()

    @pytest.mark.parametrize("path", sorted(CASES.glob("*")), ids=lambda path: path.name)
    def test_a_pack_keeps_the_sound(self, path: Path) -> None:
        packed = read_waveform(read_encoded(str(path)), RATE_HZ)
        np.testing.assert_array_equal(packed, read_waveform(str(path), RATE_HZ))


def piped(length: int, riff: int | None = None, audio: bytes = b"") -> bytes:
    """A WAV whose header gives this length, whatever it holds."""
    data = bytearray(audio or encoded(warble(), "WAV"))
    data[4:8] = (length if riff is None else riff).to_bytes(4, "little")
    data[40:44] = length.to_bytes(4, "little")
    return bytes(data)


class TestWav:
    @pytest.mark.parametrize(
        "length",
        [
            *(0, 0x7FFFF000, 0x7FFFFFFF, 0x7FFFFFFF - 36, 0x7FFF0024, 0x80000000, 0xFFFFFFFF, 0xFFFFF000),
            *(0x40000000, 0x3FFFFFFF, 0x40000000 - 44, 10**9),
        ],
    )
    @pytest.mark.parametrize("riff", [None, 0, 36, 0xFFFFFFFF])
    def test_a_length_that_nobody_knew(self, length: int, riff: int | None) -> None:
        data = piped(length, riff)
        waveform = read_waveform(data, RATE_HZ)
        assert probe(data).num_samples == len(waveform) == 2 * RATE_HZ
        np.testing.assert_allclose(waveform, warble(), atol=1e-4)

    @pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT", "ULAW", "IMA_ADPCM", "GSM610", "MS_ADPCM"])
    @pytest.mark.parametrize("length", [0, 0x7FFFF000, 0xFFFFFFFF])
    def test_of_any_coding(self, subtype: str, length: int) -> None:
        audio = bytearray(encoded(warble(), "WAV", subtype=subtype))
        place = audio.find(b"data") + 4
        audio[4:8] = audio[place : place + 4] = length.to_bytes(4, "little")
        np.testing.assert_array_equal(
            read_waveform(bytes(audio), RATE_HZ),
            read_waveform(encoded(warble(), "WAV", subtype=subtype), RATE_HZ),
        )

    def test_an_odd_last_byte_is_no_sample(self) -> None:
        assert len(read_waveform(piped(0xFFFFFFFF) + b"\x01", RATE_HZ)) == 2 * RATE_HZ

    @pytest.mark.parametrize("missing", [2, 100, 60_000])
    def test_a_length_that_was_known_is_no_placeholder(self, missing: int) -> None:
        with pytest.raises(InputError, match="truncated"):
            probe(encoded(warble(), "WAV")[:-missing])

    def test_without_samples_it_stays_without(self) -> None:
        nothing = encoded(np.zeros(0, dtype=np.float32), "WAV")
        for data in (nothing, nothing + b"LIST\x04\x00\x00\x00INFO"):
            with pytest.raises(InputError, match="no samples"):
                probe(data)

    def test_chunks_behind_the_samples_are_no_samples(self) -> None:
        data = encoded(warble(), "WAV") + b"LIST\x04\x00\x00\x00INFO"
        assert len(read_waveform(data, RATE_HZ)) == probe(data).num_samples == 2 * RATE_HZ

    @pytest.mark.parametrize("length", [None, 0, 0xFFFFFFFF])
    def test_joined(self, length: int | None) -> None:
        first, second = encoded(warble(8001), "WAV"), encoded(warble(4000, 8000, seed=1), "WAV", 8000)
        if length is not None:
            first = piped(length, audio=first)
        waveform = read_waveform(first + second, RATE_HZ)
        assert len(waveform) == probe(first + second).num_samples == 16001
        np.testing.assert_allclose(waveform[:8001], warble(8001), atol=1e-4)
        np.testing.assert_array_equal(waveform[8001:], read_waveform(second, RATE_HZ))

    @pytest.mark.parametrize("length", [0, 2**64 - 1])
    def test_rf64_of_a_pipe(self, length: int) -> None:
        data = bytearray(encoded(warble(), "RF64"))
        place = data.find(b"ds64") + 8
        data[place : place + 16] = length.to_bytes(8, "little") * 2
        assert len(read_waveform(bytes(data), RATE_HZ)) == probe(bytes(data)).num_samples == 2 * RATE_HZ


class TestMp3:
    @staticmethod
    def uncounted(rate_hz: int, channels: int = 1, seed: int = 0) -> bytes:
        """An MP3 of variable bit rate whose first frame, which counts the others, is cut off."""
        waveform = np.repeat(warble(4 * rate_hz, rate_hz, seed)[:, None], channels, axis=1)
        waveform[rate_hz : 2 * rate_hz] *= 0.001  # few bits there, many elsewhere
        buffer = io.BytesIO()
        soundfile.write(buffer, waveform, rate_hz, format="MP3", bitrate_mode="VARIABLE", compression_level=0.2)
        data = buffer.getvalue()
        return data[data.find(b"\xff" + data[1:2], 40) :]

    @pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 22050, 32000, 44100])
    @pytest.mark.parametrize("channels", [1, 2])
    def test_without_a_count_it_is_read_to_its_end(self, rate_hz: int, channels: int) -> None:
        data = self.uncounted(rate_hz, channels)
        waveform = read_waveform(data, rate_hz)
        assert probe(data).num_samples == len(waveform)
        assert 0 <= len(waveform) - 4 * rate_hz < 4000  # what the coder adds at both ends
        assert likeness(warble(4 * rate_hz, rate_hz)[2 * rate_hz : -2000], waveform[2 * rate_hz :], 2400) > 0.98

    @pytest.mark.parametrize("tag", [b"", b"ID3\x04\x00\x00\x00\x00\x00\x05hello", b"TAG" + bytes(125)])
    def test_joined(self, tag: bytes) -> None:
        first, second = encoded(warble(), "MP3"), encoded(warble(seed=3), "MP3")
        waveform = read_waveform(first + tag + second + tag[:0], RATE_HZ)
        assert len(waveform) == probe(first + tag + second).num_samples == 4 * RATE_HZ
        np.testing.assert_array_equal(waveform[: 2 * RATE_HZ], read_waveform(first, RATE_HZ))
        np.testing.assert_array_equal(waveform[2 * RATE_HZ :], read_waveform(second, RATE_HZ))

    def test_joined_with_one_that_has_no_count(self) -> None:
        counted, uncounted = encoded(warble(), "MP3"), self.uncounted(RATE_HZ)
        for data in (counted + uncounted, uncounted + counted, uncounted + uncounted):
            assert probe(data).num_samples == len(read_waveform(data, RATE_HZ)) > 5.9 * RATE_HZ

    def test_joined_of_other_rates(self) -> None:
        first, second = encoded(warble(), "MP3"), encoded(warble(44100, 44100), "MP3", 44100)
        assert len(read_waveform(first + second, RATE_HZ)) == probe(first + second).num_samples == 3 * RATE_HZ

    def test_cut_where_it_has_a_count(self) -> None:
        data = encoded(warble(), "MP3")
        for read in (probe, lambda data: read_waveform(data, RATE_HZ)):
            with pytest.raises(InputError, match="truncated"):
                read(data[: len(data) // 2])

    def test_tags_around_it_are_no_sound(self) -> None:
        data = encoded(warble(), "MP3")
        tagged = b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128) + data + b"TAG" + bytes(125)
        np.testing.assert_array_equal(read_waveform(tagged, RATE_HZ), read_waveform(data, RATE_HZ))
        assert probe(tagged).num_samples == 2 * RATE_HZ

    def test_junk_in_the_middle_is_passed_over(self) -> None:
        data = self.uncounted(RATE_HZ)
        middle = data.find(b"\xff" + data[1:2], len(data) // 2)
        waveform = read_waveform(data[:middle] + b"\x00\xff\xfb\xe0" * 50 + data[middle:], RATE_HZ)
        assert len(waveform) == len(read_waveform(data, RATE_HZ))


@pytest.mark.parametrize(
    ("audio_format", "subtype"),
    [
        *(("OGG", "VORBIS"), ("OGG", "OPUS"), ("FLAC", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "GSM610"), ("MP3", None)),
        *(("AIFF", "PCM_16"), ("AU", "ULAW"), ("W64", "PCM_16"), ("NIST", "PCM_16"), ("RF64", "FLOAT")),
    ],
)
class TestJoined:
    def test_other_recordings(self, audio_format: str, subtype: str | None) -> None:
        parts = [encoded(warble(16000 + 160 * n, seed=n), audio_format, subtype=subtype) for n in range(3)]
        waveform = read_waveform(b"".join(parts), RATE_HZ)
        np.testing.assert_array_equal(waveform, np.concatenate([read_waveform(part, RATE_HZ) for part in parts]))
        assert probe(b"".join(parts)).num_samples == len(waveform)

    def test_twice_the_same(self, audio_format: str, subtype: str | None) -> None:
        data = encoded(warble(), audio_format, subtype=subtype)
        once = probe(data).num_samples
        assert len(read_waveform(data + data, RATE_HZ)) == probe(data + data).num_samples == 2 * once

    def test_a_cut_one_behind_a_whole_one(self, audio_format: str, subtype: str | None) -> None:
        data = encoded(warble(), audio_format, subtype=subtype)
        with pytest.raises(InputError):
            read_waveform(data + data[: len(data) // 2], RATE_HZ)


def test_joined_recordings_are_too_long_together() -> None:
    data = encoded(warble(), "FLAC")
    assert len(read_waveform(data + data, RATE_HZ, max_duration_s=4.0)) == 4 * RATE_HZ
    with pytest.raises(InputError, match="longer than 3.9 s"):
        read_waveform(data + data, RATE_HZ, max_duration_s=3.9)


@pytest.mark.parametrize("num_bytes", [3, 31_999])
def test_raw_pcm_of_odd_length(tmp_path: Path, num_bytes: int) -> None:
    samples = (warble() * 32767).astype("<i2").tobytes()[:num_bytes]
    (tmp_path / "a.pcm").write_bytes(samples)
    assert probe(str(tmp_path / "a.pcm")).num_samples == num_bytes // 2
    assert len(read_waveform(str(tmp_path / "a.pcm"), RATE_HZ)) == num_bytes // 2
    assert len(read_waveform(read_encoded(str(tmp_path / "a.pcm")), RATE_HZ)) == num_bytes // 2
