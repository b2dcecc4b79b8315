"""One contract over all backends: local files, memory, an S3 server without and one with conditional writes."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from moto_server import serve_moto
from s3_server import S3Server

from ds2ray import storage, store
from ds2ray.errors import ArtifactCorruptError
from ds2ray.store import BaseRecord, OwnWord, Store, sha256
from ds2ray.store.keys import user_key

KEYS = (
    "plain.bin",
    "한국어 – ümlaut.bin",
    "with blanks  in it.bin",
    "plus+and&equals=.bin",
    "hash#percent%20question?.bin",
    "100%.bin",
    "...three.dots...",
    "n" * 200,
    "quote'\"and\\slash.bin",
    "colon:semi;comma,star*.bin",
    "[bracket]{brace}.bin",
    "~tilde@at!.bin",
)
USERS = ("kim", "Kim", "jörg müller", "a+b&c=d", "100%?#", "..", ".", "a/../b", "a//b", "x" * 180)


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    with serve_moto() as server:
        yield server


@pytest.fixture(
    params=["file", "memory", pytest.param("juicefs", marks=pytest.mark.s3), pytest.param("moto", marks=pytest.mark.s3)]
)
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    match request.param:
        case "file":
            return f"file://{tmp_path}"
        case "memory":
            return f"memory://{tmp_path.name}"
        case "juicefs":
            return str(request.getfixturevalue("s3_root"))
        case _:
            server: S3Server = request.getfixturevalue("moto")
            for name, value in server.environment().items():
                monkeypatch.setenv(name, value)
            return server.new_root()


def test_every_key_keeps_its_own_content(root: str) -> None:
    folder = storage.join(root, "keys")
    uris = {key: storage.join(folder, key) for key in KEYS}
    for key, uri in uris.items():
        storage.write_bytes(uri, key.encode())
    listed = storage.list_objects(folder)
    assert {info.uri: info.size_bytes for info in listed} == {uris[key]: len(key.encode()) for key in KEYS}
    assert [info.uri for info in storage.list_objects(root, recursive=True)] == sorted(uris.values())
    found = storage.stat_many(uris.values())
    for key, uri in uris.items():
        assert storage.read_bytes(uri) == key.encode()
        assert storage.exists(uri)
        with storage.open_read(uri) as file:
            assert (file.seek(1), file.read(2)) == (1, key.encode()[1:3])
        info = found[uri]
        assert info is not None
        assert info.size_bytes == len(key.encode())
    for uri in uris.values():
        storage.delete(uri)
        storage.delete(uri)
        assert not storage.exists(uri)
    assert storage.list_objects(folder) == []


def test_keys_that_differ_by_case_are_two(root: str) -> None:
    for name in ("key", "Key", "KEY"):
        storage.write_bytes(storage.join(root, name), name.encode())
    assert [storage.read_bytes(storage.join(root, name)) for name in ("key", "Key", "KEY")] == [b"key", b"Key", b"KEY"]


def test_a_tag_changes_with_the_content(root: str) -> None:
    uri = storage.join(root, "a.bin")
    tags = []
    for data in (b"1", b"2"):
        storage.write_bytes(uri, data)
        (info,) = storage.list_objects(root)
        tags.append(info.version_tag)
    assert tags[0] != tags[1]


def test_what_is_not_there(root: str) -> None:
    uri = storage.join(root, "none.bin")
    for read in (storage.read_bytes, storage.read_json, storage.read_table, lambda uri: storage.open_read(uri).read()):
        with pytest.raises(FileNotFoundError):
            read(uri)
    assert storage.list_objects(root) == []
    assert storage.stat_many([uri]) == {uri: None}
    storage.delete(uri)


def test_documents_tables_and_limits(root: str) -> None:
    table, uri = pa.table({"a": [1, 2], "b": ["ü", None]}), storage.join(root, "t.parquet")
    storage.write_table(uri, table)
    assert storage.read_table(uri).equals(table)
    assert storage.read_table(uri, ["b"]).equals(table.select(["b"]))
    storage.write_json(storage.join(root, "d.json"), {"ü": [1, None]})
    assert storage.read_json(storage.join(root, "d.json")) == {"ü": [1, None]}
    for data in (b"", b"1234", b"12345"):
        storage.write_bytes(storage.join(root, "a.bin"), data)
        if len(data) <= 4:
            assert storage.read_bytes(storage.join(root, "a.bin"), max_bytes=4) == data
    with pytest.raises(ArtifactCorruptError, match=r"a\.bin: more than the 4 bytes"):
        storage.read_bytes(storage.join(root, "a.bin"), max_bytes=4)


def test_every_user_keeps_their_own_adapter_and_words(root: str) -> None:
    place = Store(root)
    for number, user in enumerate(USERS):
        key = user_key(user, salt="")
        for weights in (b"first %d" % number, b"second %d" % number):
            pointer = store.publish_adapter(
                place,
                key,
                weights,
                base_fingerprint=sha256(b"base"),
                data_fingerprint="d" * 32,
                adapter={},
                run_id="run",
                error_before=None,
                error_after=None,
            )
        assert pointer.seq == 2
        store.publish_words(place, key, [OwnWord(f"word of {user}")])
    for number, user in enumerate(USERS):
        key = user_key(user, salt="")
        found = store.read_pointer(place, key)
        words = store.read_words_record(place, key)
        assert found is not None
        assert words is not None
        assert store.read_adapter(place, found) == b"second %d" % number
        assert store.read_words(place, words) == (OwnWord(f"word of {user}"),)
        assert store.rollback(place, key, found.history[0]["version"]).seq == 3
        assert store.erase_words(place, key) == 2
    users = {info.uri.removeprefix(f"{root}/users/").partition("/")[0] for info in place.list_objects(root, True)}
    assert len(users) == len(USERS)


def test_a_base_comes_back(root: str) -> None:
    place, fingerprint = Store(root), sha256(b"base")
    record = BaseRecord(
        base_id=fingerprint[:16],
        fingerprint=fingerprint,
        sha256=sha256(b"weights"),
        size_bytes=7,
        model={},
        audio={},
        vocabulary={"symbols": ["한"]},
        run_id="",
        metrics={},
    )
    store.publish_base(place, b"weights", record)
    assert store.read_base(place) == store.read_base(place, record.base_id) == (record, b"weights")
    assert store.list_bases(place) == [record.base_id]
