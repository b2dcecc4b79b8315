"""Names that one file system writes differently from another, and links that lead nowhere."""

import os
import unicodedata
from pathlib import Path

import pytest

from ds2ray import storage

NFC, NFD = (unicodedata.normalize(form, "녹음é.wav") for form in ("NFC", "NFD"))


@pytest.mark.parametrize("root", ["local", "memory"])
@pytest.mark.parametrize(("stored", "asked"), [(NFC, NFD), (NFD, NFC)])
def test_an_object_is_found_in_either_form(tmp_path: Path, root: str, stored: str, asked: str) -> None:
    folder = str(tmp_path) if root == "local" else f"memory://{tmp_path.name}"
    storage.write_bytes(storage.join(folder, stored), b"RIFF")
    found = storage.stat_many([storage.join(folder, asked), storage.join(folder, "x" + asked)])
    info = found[storage.join(folder, asked)]
    assert info is not None
    assert (info.uri, info.size_bytes) == (storage.join(folder, stored), 4)
    assert found[info.uri] == info
    assert found[storage.join(folder, "x" + asked)] is None


def test_the_form_that_is_asked_for_comes_first(tmp_path: Path) -> None:
    for name, content in ((NFC, b"1"), (NFD, b"22")):
        (tmp_path / name).write_bytes(content)
    found = storage.stat_many([str(tmp_path / NFC), str(tmp_path / NFD)])
    assert [info and info.size_bytes for info in found.values()] == [1, 2]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/one.txt").write_text("1")
    os.symlink("..", tmp_path / "a/b/up")
    os.symlink(tmp_path, tmp_path / "a/top")
    os.symlink("self", tmp_path / "a/self")
    os.symlink("gone", tmp_path / "a/dangling")
    listed = storage.list_objects(str(tmp_path), recursive=True)
    assert [(info.uri.removeprefix(f"{tmp_path}/"), info.unreachable) for info in listed] == [
        ("a/b/one.txt", ""),
        ("a/self", "is a link that leads round in a circle"),
    ]
    assert [info.uri for info in storage.list_objects(str(tmp_path / "a"))] == [str(tmp_path / "a/self")]


def test_a_name_that_cannot_be_is_one_object_s_fault(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    os.symlink("loop", tmp_path / "loop")
    names = ["a.wav", "x" * 300, "loop", "a.wav/b.wav", "nul\0.wav"]
    found = list(storage.stat_many(str(tmp_path / name) for name in names).values())
    assert [info and info.unreachable for info in found] == [
        "",
        "has a name that is too long",
        "is a link that leads round in a circle",
        None,
        None,
    ]
