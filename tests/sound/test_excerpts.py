"""Excerpts of recordings, of whatever format: they hold what stands between their times, and read little else."""

from pathlib import Path

import numpy as np
import pytest
from sounds import RATE_HZ, encoded, warble, written

from ds2ray import storage
from ds2ray.errors import InputError
from ds2ray.sound.audio import AudioInfo, probe, read_encoded, read_waveform, write_audio
from ds2ray.sound.excerpts import encoded_excerpt
from ds2ray.sound.formats import opening
from ds2ray.sound.measuring import Unusable, measure_all
from ds2ray.sound.pieces import read_pieces
from ds2ray.uris import Excerpt


@pytest.mark.parametrize(("audio_format", "subtype"), list(written()))
def test_an_excerpt_of_every_format(tmp_path: Path, audio_format: str, subtype: str) -> None:
    path = tmp_path / "a.sound"
    path.write_bytes(encoded(warble(), audio_format, subtype=subtype))
    rate_hz = probe(str(path)).sample_rate_hz  # VOC has not all of them
    start, end = round(0.5 * rate_hz), round(1.25 * rate_hz)
    whole = read_waveform(str(path), rate_hz)
    np.testing.assert_array_equal(read_waveform(f"{path}#t=0.5,1.25", rate_hz), whole[start:end])
    assert probe(f"{path}#t=0.5,1.25").num_samples == end - start
    np.testing.assert_array_equal(read_waveform(f"{path}#t=0.5,", rate_hz), whole[start:])


def test_raw_samples_and_pieces(tmp_path: Path) -> None:
    path = str(tmp_path / "a.pcm")
    write_audio(path, warble(), RATE_HZ)
    whole = read_waveform(path, RATE_HZ)
    np.testing.assert_array_equal(read_waveform(f"{path}#t=1,1.5", RATE_HZ), whole[16000:24000])
    pieces = list(read_pieces(f"{path}#t=1,1.5", RATE_HZ, piece_s=0.2))
    assert [len(piece) for piece in pieces] == [3200, 3200, 1600]
    np.testing.assert_array_equal(np.concatenate(pieces), whole[16000:24000])


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.pcm"])
def test_what_comes_before_is_not_read(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / name)
    write_audio(path, warble(60 * RATE_HZ), RATE_HZ)
    read = 0

    class Counting:
        def __init__(self, uri: str) -> None:
            self.file = Path(uri).open("rb", buffering=0)  # noqa: SIM115

        def read(self, size: int = -1) -> bytes:
            nonlocal read
            data = self.file.read(size)
            read += len(data)
            return data

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

        def __enter__(self) -> "Counting":
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

    monkeypatch.setattr(storage, "open_read", Counting)
    monkeypatch.setattr(opening, "read_file", None)  # which would fetch all of it
    assert len(read_waveform(f"{path}#t=50,51", RATE_HZ)) == RATE_HZ
    assert 0 < read < 0.3 * Path(path).stat().st_size


@pytest.mark.parametrize("name", ["joined.wav", "joined.mp3", "joined.ogg", "joined.flac"])
def test_an_excerpt_of_joined_recordings(tmp_path: Path, name: str) -> None:
    kind = name.rpartition(".")[2].upper()
    path = tmp_path / name
    path.write_bytes(encoded(warble(), kind) + encoded(warble(seed=1), kind))
    whole = read_waveform(str(path), RATE_HZ)
    if kind == "FLAC":  # nothing is looked for behind the first one, and that is told
        with pytest.raises(InputError, match=r"ends at 2.75 s, after the end of the recording, which lasts 2.000 s"):
            read_waveform(f"{path}#t=1.5,2.75", RATE_HZ)
        return
    np.testing.assert_array_equal(read_waveform(f"{path}#t=1.5,2.75", RATE_HZ), whole[24000:44000])


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.pcm"])
@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ("2,3", "begins at 2 s, after the end of the recording, which lasts 2.000 s"),
        ("7,", "begins at 7 s, after the end of the recording, which lasts 2.000 s"),
        ("1,2.6", "ends at 2.6 s, after the end of the recording, which lasts 2.000 s"),
        ("1,1", r"holds no samples between its times \(1,1\)"),
    ],
)
def test_times_outside_the_recording_are_told(tmp_path: Path, name: str, times: str, reason: str) -> None:
    path = str(tmp_path / name)
    write_audio(path, warble(), RATE_HZ)
    for function in (probe, lambda audio: read_waveform(audio, RATE_HZ), read_encoded):
        with pytest.raises(InputError, match=reason):
            function(f"{path}#t={times}")
    assert len(read_waveform(f"{path}#t=1,2.4", RATE_HZ)) == RATE_HZ  # a little late is cut, as Kaldi does


def test_the_longest_duration_is_that_of_the_excerpt(tmp_path: Path) -> None:
    path = str(tmp_path / "a.flac")
    write_audio(path, warble(), RATE_HZ)
    assert len(read_waveform(f"{path}#t=0.5,1.5", RATE_HZ, max_duration_s=1.2)) == RATE_HZ
    for times in ("0.5,1.9", "0.5,"):
        with pytest.raises(InputError, match="longer than 1.2 s"):
            read_waveform(f"{path}#t={times}", RATE_HZ, max_duration_s=1.2)


def test_a_file_is_measured_once_for_all_its_excerpts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "a.mp3")
    write_audio(path, warble(), RATE_HZ)
    audio: list[str | bytes] = [
        f"{path}#t=0,0.5",
        path,
        f"{path}#t=3,4",
        f"{tmp_path}/none.wav#t=0,1",
        Path(path).read_bytes(),
    ]
    opened: list[str | bytes] = []

    def counted(each: str | bytes) -> AudioInfo:
        opened.append(each)
        return probe(each)

    monkeypatch.setattr("ds2ray.sound.measuring.probe", counted)
    half, whole, late, missing, same = measure_all(audio)
    assert not isinstance(half, Unusable)
    assert half.duration_s == 0.5
    assert whole == same
    assert isinstance(late, Unusable)
    assert late.reason.startswith("begins at 3 s, after the end")
    assert isinstance(missing, Unusable)
    assert missing.reason == "there is no such file"
    assert len(opened) == 3


class TestEncoded:
    """Excerpts as files of their own."""

    @pytest.mark.parametrize(
        ("audio_format", "subtype", "bits"),
        [("WAV", "PCM_16", 16), ("FLAC", "PCM_16", 16), ("WAV", "PCM_24", 32), ("WAV", "FLOAT", 32), ("MP3", None, 32)],
    )
    def test_no_sample_is_changed(self, audio_format: str, subtype: str | None, bits: int) -> None:
        stereo = np.stack([warble(rate_hz=8000), -0.5 * warble(rate_hz=8000, seed=1)], axis=1)
        data = encoded(stereo, audio_format, 8000, subtype)
        cut = encoded_excerpt(data, Excerpt(0.25, 1.5))
        info = probe(cut)
        assert (info.sample_rate_hz, info.num_channels, info.num_samples) == (8000, 2, 10000)
        np.testing.assert_array_equal(read_waveform(cut, 8000), read_waveform(data, 8000)[2000:12000])
        assert len(cut) == 58 + 10000 * 2 * bits // 8
        assert cut == encoded_excerpt(data, Excerpt(0.25, 1.5))

    def test_joined_recordings_of_different_rates_stay_so(self) -> None:
        data = encoded(warble(), "MP3") + encoded(warble(16000, 8000), "MP3", 8000)
        cut = encoded_excerpt(data, Excerpt(1.0, 3.0))
        assert len(read_waveform(cut, RATE_HZ)) == pytest.approx(2 * RATE_HZ, abs=2)

    def test_samples_above_full_scale_are_kept(self) -> None:
        loud = 3 * warble()
        cut = encoded_excerpt(encoded(loud, "WAV", subtype="FLOAT"), Excerpt(0.0, 1.0))
        np.testing.assert_array_equal(read_waveform(cut, RATE_HZ), loud[:RATE_HZ])
