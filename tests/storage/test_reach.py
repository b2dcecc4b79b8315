"""Which addresses a table may name, told without opening or asking anything."""

import os
from pathlib import Path
from typing import Any

import pytest

from ds2ray.config import DataConfig
from ds2ray.errors import ConfigError
from ds2ray.storage import why_refused
from ds2ray.storage.reach import allowed, root_of

TABLE = "/data/m.csv"


@pytest.mark.parametrize(
    "uri",
    ["/a.wav", "file:///a.wav", "local:///a", "s3://b/a::b.wav", "gs://b/a", "abfs://c/a", "memory://a", "/a::b.wav"],
)
def test_plain_addresses_are_allowed(uri: str) -> None:
    assert why_refused(uri, TABLE, DataConfig()) == ""


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("foo://a", "has the scheme foo, which"),
        ("http://host/a.wav", "has the scheme http, which"),
        ("zip://a.wav::/b.zip", "has the scheme zip, which"),
        ("simplecache::s3://b/a.wav", "is a chained address, which"),
        ("filecache::zip://a::s3://b/c.zip", "is a chained address, which"),
        ("://a", "has no scheme"),
        ("/a\0b", "holds a NUL byte"),
        ("s3://b/a\0", "holds a NUL byte"),
    ],
)
def test_others_are_refused(uri: str, reason: str) -> None:
    assert why_refused(uri, TABLE, DataConfig()).startswith(reason)


@pytest.mark.parametrize(
    ("uri", "schemes"),
    [
        ("zip://a.wav::/data/b.zip", ["zip", "file"]),
        ("zip://a.wav::s3://b/c.zip", ["zip", "s3"]),
        ("simplecache::s3://b/a.wav", ["simplecache", "s3"]),
        ("filecache::zip://a.wav::s3://b/c.zip", ["filecache", "zip", "s3"]),
    ],
)
def test_a_chained_address_needs_the_scheme_of_each_link(uri: str, schemes: list[str]) -> None:
    assert why_refused(uri, TABLE, DataConfig(allowed_schemes=schemes)) == ""
    for scheme in schemes:
        others = [each for each in schemes if each != scheme]
        refused = why_refused(uri, "hdfs://n/m.csv", DataConfig(allowed_schemes=others))
        assert scheme in refused
        assert "data.allowed_schemes" in refused
    # what lies beside the table is not allowed by that within an archive
    assert why_refused(uri, uri, DataConfig(allowed_schemes=["gs"])) != ""


def test_what_a_chain_names_lies_in_the_root() -> None:
    data = DataConfig(allowed_schemes=["zip", "simplecache", "s3", "file"], allowed_roots=["/data", "s3://b/ann"])
    inside = ["zip://../a.wav::/data/b.zip", "simplecache::s3://b/ann/a.wav", "zip://a::zip://b.zip::/data/c.zip"]
    assert [why_refused(uri, "/m.csv", data) for uri in inside] == [""] * len(inside)
    outside = [
        "zip://data/a.wav::/b.zip",
        "zip:///data/a.wav::/data/../b.zip",
        "simplecache::s3://b/bob/a.wav",
        "zip://a::zip:///data/b.zip::/c.zip",
        "zip://a.wav::s3://b/ann/../bob/c.zip",
    ]
    assert all("lies outside" in why_refused(uri, "/m.csv", data) for uri in outside)


def test_what_lies_beside_its_table_reaches_nothing_new() -> None:
    data = DataConfig(allowed_schemes=["s3"])
    assert why_refused("hdfs://n/a.wav", "hdfs://n/m.csv", data) == ""
    assert why_refused("https://host/a.wav", "https://host/m.csv", data) == ""
    assert why_refused("https://inside/a.wav", "https://host/m.csv", data) != ""
    assert why_refused("/a.wav", TABLE, data) == ""
    assert why_refused("/a.wav", "s3://b/m.csv", data) != ""  # a table on a server reaches no file of this machine
    assert why_refused("http://host/a", TABLE, DataConfig(allowed_schemes=["http"])) == ""


def test_audio_lies_in_the_root_of_its_manifest(tmp_path: Path) -> None:
    for name in ("ann", "ann2", "bob", "away"):
        (tmp_path / name).mkdir()
    (tmp_path / "away/a.wav").touch()
    os.symlink(tmp_path / "away/a.wav", tmp_path / "ann/link.wav")
    os.symlink(tmp_path / "away", tmp_path / "ann/folder")
    os.symlink("loop", tmp_path / "ann/loop")
    os.symlink(tmp_path / "ann", tmp_path / "other-name")
    roots = [f"{tmp_path}/ann/", f"{tmp_path}/bob", "s3://b/ann"]
    data, table = DataConfig(allowed_roots=roots), f"{tmp_path}/ann/m.csv"
    inside = ["a.wav", "new/a.wav", "loop", "new/../a.wav", "a.wav#t=1,2", "p.parquet#0/1"]
    assert [why_refused(f"{tmp_path}/ann/{name}", table, data) for name in inside] == [""] * len(inside)
    assert why_refused(f"{tmp_path}/other-name/a.wav", table, data) == ""
    outside = ["ann/../bob/a.wav", "ann/link.wav", "ann/folder/a.wav", "ann2/a.wav", "away/a.wav", "ann/../../etc/x"]
    refused = [why_refused(f"{tmp_path}/{name}", table, data) for name in outside]
    assert refused == ["lies outside the root of its manifest"] * len(outside)
    # a manifest may lie in any root, and who names audio from outside of all may name any of them
    assert why_refused(f"{tmp_path}/bob/m.csv", table, data, in_any_root=True) == ""
    assert why_refused(f"{tmp_path}/away/m.csv", table, data, in_any_root=True) == "lies outside of data.allowed_roots"
    assert why_refused(f"{tmp_path}/bob/a.wav", f"{tmp_path}/m.csv", data) == ""
    assert why_refused("s3://b/ann/../bob/a.wav", "s3://b/ann/m.csv", data) == "lies outside the root of its manifest"
    assert why_refused("s3://b/annabel/a.wav", "s3://b/ann/m.csv", data) == "lies outside the root of its manifest"


def test_the_deepest_root_counts() -> None:
    assert root_of("/data/a/b.wav", ("/", "/data", "/data/a", "/data/ab")) == "/data/a"
    assert root_of("/data", ("/data/a",)) == ""


def test_only_what_is_allowed_is_asked_for() -> None:
    audio: list[str | bytes] = ["/b.wav#t=1,2", "/a.wav", b"RIFF", "foo://a", "/b.wav#t=2,3"]
    assert allowed(audio, TABLE, DataConfig()) == ["/a.wav", "/b.wav"]


@pytest.mark.parametrize("name", ["allowed_schemes", "allowed_roots"])
def test_empty_names_are_no_setting(name: str) -> None:
    changed: dict[str, Any] = {name: ["a", " "]}
    with pytest.raises(ConfigError, match=f"data.{name}"):
        DataConfig(**changed)
