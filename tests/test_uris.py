"""Joining, resolving and telling apart URIs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray import storage
from ds2ray.errors import InputError


def test_join_and_parent() -> None:
    assert storage.join("s3://bucket/prefix/", "users", "/a/", "b.json") == "s3://bucket/prefix/users/a/b.json"
    assert storage.join("memory://", "a") == "memory://a"
    assert storage.join("/", "a") == "/a"
    assert storage.parent("s3://bucket/a/b.csv") == "s3://bucket/a"
    assert storage.parent("/a") == "/"
    assert storage.parent("a/b.csv") == "a"
    assert storage.parent("b.csv") == "."


@given(
    st.sampled_from(["s3://bucket/x", "memory://x", "/data", "./store", "file:///data"]),
    st.text(st.characters(exclude_characters="/", codec="utf-8"), min_size=1).filter(str.strip),
)
def test_parent_undoes_join(root: str, name: str) -> None:
    assert storage.parent(storage.join(root, name)) == root


def test_resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage.resolve("wav/a.wav", "s3://bucket/users/john.csv") == "s3://bucket/users/wav/a.wav"
    assert storage.resolve("../a.wav", "s3://bucket/users/john.csv") == "s3://bucket/a.wav"
    assert storage.resolve("s3://other/a.wav", "/data/john.csv") == "s3://other/a.wav"
    assert storage.resolve("/audio/a.wav", "s3://bucket/john.csv") == "/audio/a.wav"
    assert storage.resolve("./a.wav", "file:///data/john.csv") == "file:///data/a.wav"
    assert storage.resolve("a.wav", "users/john.csv") == f"{tmp_path}/users/a.wav"
    assert storage.resolve("a.wav", "john.csv") == f"{tmp_path}/a.wav"


def test_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/john")
    assert storage.absolute("./store") == f"{tmp_path}/store"
    assert storage.absolute("~/store") == "/home/john/store"
    assert storage.absolute("s3://bucket/store") == "s3://bucket/store"


def test_local_paths() -> None:
    assert storage.local_path("file:///data/a") == "/data/a"
    assert storage.local_path("data/a") == "data/a"
    assert storage.is_local("data::a.wav")
    assert not storage.is_local("s3://bucket/a")
    with pytest.raises(InputError, match="s3://bucket/a is not a local path"):
        storage.local_path("s3://bucket/a")
