"""Joining, resolving and telling apart URIs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray import storage
from ds2ray.errors import InputError
from ds2ray.uris import other_forms


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


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///data/my%20speech/100%25.wav", "/data/my speech/100%.wav"),
        ("file://localhost/data/%EB%85%B9.wav", "/data/녹.wav"),
        ("/data/my%20speech/a.wav", "/data/my%20speech/a.wav"),  # a path is taken as it stands
        ("local:///data/my%20speech", "/data/my%20speech"),
    ],
)
def test_file_uris_are_decoded(uri: str, path: str) -> None:
    assert storage.local_path(uri) == path
    assert storage.absolute(uri) == path
    assert storage.resolve(uri, "s3://bucket/m.csv") == path


def test_names_below_a_file_uri_are_names(tmp_path: Path) -> None:
    """What a folder shows is encoded where it becomes part of a URI, so that reading it decodes it again."""
    folder = tmp_path / "a b"
    folder.mkdir()
    for name in ("100%.wav", "%20.wav", "녹 음.wav", "a#b?.wav"):
        (folder / name).write_bytes(name.encode())
    uri = f"file://{tmp_path}/a%20b"
    listed = [info.uri for info in storage.list_objects(uri)]
    assert sorted(storage.read_bytes(each).decode() for each in listed) == sorted(
        path.name for path in folder.iterdir()
    )
    assert storage.read_bytes(storage.resolve("%20.wav", f"{uri}/m.csv")) == b"%20.wav"
    storage.write_bytes(storage.join(uri, "users", "%ED%95%9C", "x.json"), b"{}")
    assert (folder / "users" / "%ED%95%9C" / "x.json").read_bytes() == b"{}"


@given(
    st.sampled_from(["file:///data", "file:///a%20b/c", "/data"]),
    st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1).filter(lambda name: name.strip("/. ")),
)
def test_a_joined_name_is_the_file_s_name(root: str, name: str) -> None:
    assert storage.local_path(storage.join(root, name)) == f"{storage.local_path(root)}/{name}"


def test_other_forms_of_an_address() -> None:
    composed, decomposed = "/é/é.wav", "/e\u0301/e\u0301.wav"
    mixed = ["/é/e\u0301.wav", "/e\u0301/é.wav"]
    assert sorted(other_forms(composed)) == sorted([decomposed, *mixed])
    assert composed in set(other_forms(decomposed))
    assert list(other_forms("/data/a.wav")) == []
