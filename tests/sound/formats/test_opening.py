"""Opening files: what is wrong with one is told of that one, and what is wrong with the storage is not."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sounds import RATE_HZ, encoded, warble

from ds2ray import storage
from ds2ray.errors import InputError, StorageError
from ds2ray.sound.audio import probe, read_encoded, read_waveform
from ds2ray.sound.formats.faults import Watched
from ds2ray.sound.pieces import read_pieces

READERS: list[Callable[[str], object]] = [
    probe,
    lambda uri: read_waveform(uri, RATE_HZ),
    lambda uri: next(read_pieces(uri, RATE_HZ)),
    read_encoded,
]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("suffix", ["wav", "pcm"])
class TestLocalFiles:
    def test_a_directory(self, tmp_path: Path, suffix: str, read: Callable[[str], object]) -> None:
        (tmp_path / f"a.{suffix}").mkdir()
        with pytest.raises(InputError, match="^is a directory$"):
            read(str(tmp_path / f"a.{suffix}"))

    def test_a_link_to_itself(self, tmp_path: Path, suffix: str, read: Callable[[str], object]) -> None:
        (tmp_path / f"a.{suffix}").symlink_to(tmp_path / f"a.{suffix}")
        with pytest.raises(InputError, match="leads back to itself"):
            read(str(tmp_path / f"a.{suffix}"))

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path, suffix: str, read: Callable[[str], object]) -> None:
        os.mkfifo(tmp_path / f"a.{suffix}")
        with pytest.raises(InputError, match="is no file but a pipe"):
            read(str(tmp_path / f"a.{suffix}"))

    def test_a_file_without_permission(
        self, tmp_path: Path, suffix: str, read: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(encoded(warble(), "WAV"))
        path.chmod(0)
        if os.access(path, os.R_OK):  # root reads everything
            monkeypatch.setattr("builtins.open", _refusing)
        with pytest.raises(InputError, match="permission denied"):
            read(str(path))

    def test_a_name_that_is_too_long(self, tmp_path: Path, suffix: str, read: Callable[[str], object]) -> None:
        with pytest.raises(InputError, match="too long"):
            read(str(tmp_path / f"{300 * 'a'}.{suffix}"))

    def test_a_file_within_a_file(self, tmp_path: Path, suffix: str, read: Callable[[str], object]) -> None:
        (tmp_path / "a.wav").write_bytes(b"x")
        with pytest.raises(FileNotFoundError):
            read(str(tmp_path / "a.wav" / f"b.{suffix}"))


def _refusing(path: str, *args: object, **settings: object) -> None:
    raise PermissionError(13, "Permission denied", path)


def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/" + "한글".encode("cp949") + b".wav"
    with open(name, "wb") as file:
        file.write(encoded(warble(), "WAV"))
    assert len(read_waveform(os.fsdecode(name), RATE_HZ)) == probe(os.fsdecode(name)).num_samples == 2 * RATE_HZ


@pytest.mark.parametrize("audio_format", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
@pytest.mark.parametrize("readable", [0, 40, 8_000])
def test_storage_that_fails_on_the_way_is_no_fault_of_the_audio(
    audio_format: str, readable: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A library that reads through callbacks loses what they raise, and says that the file is damaged."""
    noise = np.random.default_rng(0).standard_normal(60_000).astype(np.float32) / 10
    uri = f"memory://broken/{readable}.{audio_format.lower()}"
    storage.write_bytes(uri, encoded(noise, audio_format))
    open_read = storage.open_read

    class Failing:
        def __init__(self, uri: str) -> None:
            self.file = open_read(uri)

        def read(self, size: int = -1) -> bytes:
            data = self.file.read(size)
            if self.file.tell() > readable:
                raise StorageError("the server went away")
            return data

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

        def __enter__(self) -> "Failing":
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

    monkeypatch.setattr(storage, "open_read", Failing)
    with pytest.raises(StorageError, match="the server went away"):
        list(read_pieces(uri, RATE_HZ))
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("audio_format", ["WAV", "RF64", "FLAC", "MP3", "AIFF", "AU", "CAF", "W64", "NIST"])
def test_measuring_a_file_on_a_server_reads_no_more_than_its_ends(
    audio_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).standard_normal(60 * RATE_HZ).astype(np.float32) / 10
    uri = f"memory://large/a.{audio_format.lower()}"
    data = encoded(noise, audio_format)
    storage.write_bytes(uri, data)
    read = []
    readinto = Watched.readinto

    def counting(self: Watched, buffer: bytearray) -> int:
        read.append(readinto(self, buffer))
        return read[-1]

    monkeypatch.setattr(Watched, "readinto", counting)
    assert probe(uri).num_samples == 60 * RATE_HZ
    assert sum(read) < len(data) / 5
