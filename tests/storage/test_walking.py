"""Walks through folders: pages, leftovers, ages; and folders that hold nothing."""

import os
from pathlib import Path

import pytest

from ds2ray import storage
from ds2ray.storage import walking

NAMES = ("a.json", "users/kim/1.bin", "users/kim/2.bin", "users/kim-2/1.bin", "users/k%20m/1.bin")


@pytest.fixture(params=["path", "memory", pytest.param("s3", marks=pytest.mark.s3)])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder with five objects, of which a page holds two."""
    monkeypatch.setattr(walking, "_PAGE", 2)
    uris = {"path": str(tmp_path), "memory": f"memory://walk/{tmp_path.name}"}
    uri = uris[request.param] if request.param in uris else str(request.getfixturevalue("s3_root"))
    for name in NAMES:
        storage.write_bytes(storage.join(uri, *name.split("/")), name.encode())
    return uri


def test_every_object_is_met_once_and_those_of_a_folder_together(root: str) -> None:
    pages = list(storage.walk(root))
    assert [len(page) for page in pages] == [2, 2, 1]
    found = [each for page in pages for each in page]
    assert sorted(each.uri.removeprefix(f"{root}/") for each in found) == sorted(NAMES)
    folders = [storage.parent(each.uri) for each in found]
    assert len(set(folders)) == sum(folder != before for folder, before in zip(folders, ["", *folders], strict=False))
    assert {each.name: each.size_bytes for each in found if "kim/" in each.uri} == {"1.bin": 15, "2.bin": 15}
    assert all(each.modified_s > 1e9 for each in found)
    assert [each.uri for page in storage.walk(f"{root}/users/kim") for each in page] == [
        f"{root}/users/kim/1.bin",
        f"{root}/users/kim/2.bin",
    ]


def test_where_there_is_nothing_nothing_is_found(root: str) -> None:
    assert list(storage.walk(f"{root}/nowhere")) in ([], [[]])
    storage.remove_empty_folders(f"{root}/nowhere")


def test_a_folder_goes_when_it_holds_nothing(root: str) -> None:
    storage.remove_empty_folders(f"{root}/users/kim")
    assert storage.exists(f"{root}/users/kim/1.bin")
    storage.delete(f"{root}/users/k%20m/1.bin")
    storage.remove_empty_folders(f"{root}/users/k%20m")
    assert not storage.exists(f"{root}/users/k%20m")


def test_leftovers_and_links_that_lead_round(tmp_path: Path) -> None:
    (tmp_path / ".x.json.1234.tmp").write_bytes(b"half")
    (tmp_path / "folder").mkdir()
    os.symlink(tmp_path, tmp_path / "folder" / "round")
    os.symlink(tmp_path / "nowhere", tmp_path / "broken")
    found = [each for page in storage.walk(str(tmp_path)) for each in page]
    assert [(each.name, each.is_leftover) for each in found] == [(".x.json.1234.tmp", True), ("broken", False)]
