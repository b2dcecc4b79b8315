"""Members of archives and objects behind a cache, by chained addresses: what cannot be read is one row's matter."""

import os
import zipfile
from pathlib import Path

import pytest
from sounds import encoded, warble

from ds2ray import storage
from ds2ray.errors import InputError
from ds2ray.sound.audio import probe, read_waveform
from ds2ray.uris import links_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds an archive with `in/a.flac`, a file that is no archive, and a pipe."""
    folder = tmp_path_factory.mktemp("archives")
    with zipfile.ZipFile(folder / "b.zip", "w") as archive:
        archive.writestr("in/a.flac", encoded(warble(16000), "FLAC"))
    (folder / "c.zip").write_text("no archive")
    os.mkfifo(folder / "pipe")
    return folder


def test_links() -> None:
    assert links_of("zip://a::b.wav") == ["zip://a", "b.wav"]
    assert links_of("filecache::zip://a::s3://b/c.zip") == ["filecache", "zip://a", "s3://b/c.zip"]
    for plain in ("/a::b.wav", "s3://b/a::b.wav", "gs://b/simplecache::s3://c", "a.wav", "zip://a.wav", "::/a"):
        assert links_of(plain) == [plain]


@pytest.mark.parametrize("cache", ["", "simplecache::"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_audio_in_an_archive_is_read(folder: Path, cache: str, scheme: str) -> None:
    uri = f"{cache}zip://in/a.flac::{scheme}{folder}/b.zip"
    assert probe(uri).num_samples == len(read_waveform(uri, 16000)) == 16000
    (info,) = storage.stat_many([uri], each_alone=True).values()
    assert info is not None
    assert info.size_bytes == len(storage.read_bytes(uri))


@pytest.mark.parametrize("member", ["in/gone.flac", "../b.zip", "in/a.flac::zip://gone.zip"])
def test_a_missing_member_is_a_missing_file(folder: Path, member: str) -> None:
    uri = f"zip://{member}::{folder}/b.zip"
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(uri)
    assert storage.stat_many([uri], each_alone=True) == {uri: None}


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("zip://a.flac", "which archive"),
        ("zip://a.flac::{folder}/c.zip", "archive cannot be read"),
        ("tar://a.flac::{folder}/c.zip", "archive cannot be read"),
        ("zip://a.flac::{folder}", "is no file"),
        ("zip://a.flac::{folder}/pipe", "is no file"),
        ("zip://::{folder}/b.zip", "names no member"),
        ("foo::s3://b/a.flac", "foo"),
    ],
)
def test_what_is_no_archive_is_the_address_s_fault(folder: Path, uri: str, reason: str) -> None:
    uri = uri.format(folder=folder)
    with pytest.raises(InputError, match=reason):
        storage.read_bytes(uri)
    (info,) = storage.stat_many([uri], each_alone=True).values()
    assert info is not None
    assert reason in info.unreachable
