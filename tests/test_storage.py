import multiprocessing
import os
import pickle
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from s3_server import S3Server

from ds2ray import storage
from ds2ray.config import StorageConfig
from ds2ray.errors import ArtifactCorruptError, InputError, StorageError


@pytest.fixture(params=["path", "file", "memory", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "path":
            return str(tmp_path)
        case "file":
            return f"file://{tmp_path}"
        case "memory":
            return f"memory://{tmp_path.name}"
        case _:
            return str(request.getfixturevalue("s3_root"))


# Objects


@pytest.mark.parametrize("data", [b"", b"hello", bytes(range(256)) * 4096])
def test_bytes_come_back(root: str, data: bytes) -> None:
    uri = storage.join(root, "a", "b", "object.bin")
    storage.write_bytes(uri, data)
    assert storage.read_bytes(uri) == data


def test_an_object_is_replaced_as_a_whole(root: str) -> None:
    uri = storage.join(root, "object.bin")
    storage.write_bytes(uri, b"a longer first content")
    storage.write_bytes(uri, b"second")
    assert storage.read_bytes(uri) == b"second"
    assert [info.uri for info in storage.list_objects(root)] == [uri]


@pytest.mark.parametrize("name", ["홍길동.bin", "a b+c&d#e=f.bin", "%2F%20.bin", "[x]*{y}.bin", "~x.bin", "a'b\".bin"])
def test_names_are_taken_literally(root: str, name: str) -> None:
    uri = storage.join(root, "folder", name)
    storage.write_bytes(uri, b"12")
    assert storage.read_bytes(uri) == b"12"
    assert [info.uri for info in storage.list_objects(storage.join(root, "folder"))] == [uri]
    assert storage.stat_many([uri])[uri] is not None


def test_json_comes_back(root: str) -> None:
    document = {"name": "홍길동", "values": [1, 2.5, None, True]}
    storage.write_json(storage.join(root, "a.json"), document)
    assert storage.read_json(storage.join(root, "a.json")) == document


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe"])
def test_what_is_no_json_is_corrupt(root: str, data: bytes) -> None:
    uri = storage.join(root, "a.json")
    storage.write_bytes(uri, data)
    with pytest.raises(ArtifactCorruptError, match=r"a\.json: not a JSON document"):
        storage.read_json(uri)


def test_tables_come_back(root: str) -> None:
    table = pa.table({"user": ["a", "b"], "seconds": [1.5, None], "audio": [b"\x00", b"\x01"]})
    uri = storage.join(root, "tables", "a.parquet")
    storage.write_table(uri, table)
    assert storage.read_table(uri).equals(table)
    assert storage.read_table(uri, ["seconds"]).equals(table.select(["seconds"]))


def test_what_is_no_table_is_refused(root: str) -> None:
    uri = storage.join(root, "a.parquet")
    storage.write_bytes(uri, b"user_id,manifest\n")
    for columns in (None, ["user"]):
        with pytest.raises(InputError, match=r"a\.parquet: not a readable Parquet table"):
            storage.read_table(uri, columns)


@pytest.mark.parametrize(
    "read", [storage.read_bytes, storage.read_json, storage.read_table, storage.open_read], ids=lambda f: f.__name__
)
def test_a_missing_object_is_not_found(root: str, read: Callable[[str], Any]) -> None:
    uri = storage.join(root, "nowhere", "missing.bin")
    with pytest.raises(FileNotFoundError) as caught:
        read(uri)
    assert caught.value.filename == uri
    assert not storage.exists(uri)


def test_deleting_twice_is_no_error(root: str) -> None:
    uri = storage.join(root, "a.bin")
    storage.write_bytes(uri, b"1")
    assert storage.exists(uri)
    storage.delete(uri)
    storage.delete(uri)
    assert not storage.exists(uri)


def test_an_open_object_can_be_read_in_pieces(root: str) -> None:
    uri = storage.join(root, "a.bin")
    storage.write_bytes(uri, bytes(range(256)) * 4000)
    with storage.open_read(uri) as file:
        assert file.read(3) == b"\x00\x01\x02"
        assert file.seek(-2, os.SEEK_END) == 1_023_998
        assert file.read() == b"\xfe\xff"
        assert file.seek(600_000) == 600_000
        assert file.read(1) == bytes([600_000 % 256])


# Looking around


def test_listings(root: str) -> None:
    for name in ("users/b.bin", "users/a.bin", "users/deep/c.bin", "usersX.bin"):
        storage.write_bytes(storage.join(root, name), name.encode())
    folder = storage.join(root, "users")
    assert [(o.uri, o.size_bytes) for o in storage.list_objects(folder)] == [
        (f"{folder}/a.bin", 11),
        (f"{folder}/b.bin", 11),
    ]
    assert [o.uri for o in storage.list_objects(folder + "/", recursive=True)] == [
        f"{folder}/a.bin",
        f"{folder}/b.bin",
        f"{folder}/deep/c.bin",
    ]
    assert storage.exists(folder)
    assert storage.list_objects(storage.join(root, "none")) == []
    assert storage.list_objects(storage.join(root, "none"), recursive=True) == []


def test_listings_are_never_stale(root: str) -> None:
    uris = [storage.join(root, "users", f"{number}.bin") for number in range(3)]
    for number, uri in enumerate(uris):
        storage.write_bytes(uri, b"1")
        assert [o.uri for o in storage.list_objects(storage.join(root, "users"))] == uris[: number + 1]
    storage.delete(uris[0])
    assert [o.uri for o in storage.list_objects(root, recursive=True)] == uris[1:]


def test_many_objects_are_known_as_each_is(root: str) -> None:
    """Tags must not depend on whether an object was looked up alone or found in a listing."""
    uris = [storage.join(root, "audio", f"{number}.wav") for number in range(20)]
    for number, uri in enumerate(uris[:-1]):
        storage.write_bytes(uri, bytes(number))
    other = storage.join(root, "other", "a.wav")
    storage.write_bytes(other, b"123")
    many = storage.stat_many([*uris, other, uris[0]])
    assert many == {uri: storage.stat_many([uri])[uri] for uri in [*uris, other]}
    assert [info.size_bytes if info else None for info in many.values()] == [*range(19), None, 3]
    assert all(info is None or info.uri == uri for uri, info in many.items())


def test_a_folder_is_no_object(root: str) -> None:
    storage.write_bytes(storage.join(root, "folder", "a.bin"), b"1")
    folder = storage.join(root, "folder")
    assert storage.stat_many([folder]) == {folder: None}


def test_a_version_tag_changes_with_the_content(root: str) -> None:
    uri = storage.join(root, "a.bin")
    storage.write_bytes(uri, b"one")
    first = storage.stat_many([uri])[uri]
    assert first == storage.stat_many([uri])[uri]
    storage.write_bytes(uri, b"two")
    second = storage.stat_many([uri])[uri]
    assert first is not None
    assert second is not None
    assert first.version_tag != second.version_tag


# Threads and processes


def test_many_threads(root: str) -> None:
    def there_and_back(number: int) -> bytes:
        uri = storage.join(root, "threads", f"{number}.bin")
        storage.write_bytes(uri, str(number).encode())
        return storage.read_bytes(uri)

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(there_and_back, range(64))) == [str(number).encode() for number in range(64)]
    assert len(storage.list_objects(storage.join(root, "threads"))) == 64


def _answer(root: str, answers: "multiprocessing.Queue[bytes]") -> None:
    question = storage.read_bytes(storage.join(root, "question.bin"))
    storage.write_bytes(storage.join(root, "answer.bin"), question[::-1])
    answers.put(storage.read_bytes(storage.join(root, "answer.bin")))


@pytest.mark.parametrize("root", ["path", "s3"], indirect=True)
@pytest.mark.parametrize("context", [multiprocessing.get_context("fork"), multiprocessing.get_context("spawn")])
def test_other_processes(root: str, context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    storage.write_bytes(storage.join(root, "question.bin"), b"abc")  # the connection stands before the fork
    answers = context.Queue()
    process = context.Process(target=_answer, args=(root, answers))
    process.start()
    assert answers.get(timeout=60) == b"cba"
    process.join(60)
    assert process.exitcode == 0
    assert storage.read_bytes(storage.join(root, "answer.bin")) == b"cba"


def test_pyarrow_sees_the_same_objects(root: str) -> None:
    filesystem, path = storage.arrow_filesystem(root)
    filesystem = pickle.loads(pickle.dumps(filesystem))
    filesystem.create_dir(f"{path}/run/checkpoint")
    with filesystem.open_output_stream(f"{path}/run/checkpoint/model.bin") as file:
        file.write(b"weights")
    assert storage.read_bytes(storage.join(root, "run", "checkpoint", "model.bin")) == b"weights"
    storage.write_bytes(storage.join(root, "run", "checkpoint", "optimizer.bin"), b"moments")
    files = filesystem.get_file_info(pyarrow.fs.FileSelector(f"{path}/run", recursive=True))
    assert sorted(f.base_name for f in files if f.is_file) == ["model.bin", "optimizer.bin"]
    filesystem.delete_dir(f"{path}/run/checkpoint")
    assert storage.list_objects(storage.join(root, "run"), recursive=True) == []


# What goes wrong


def test_readers_of_a_local_file_see_all_of_it_or_the_one_before(tmp_path: Path) -> None:
    uri = str(tmp_path / "pointer.json")
    contents = [bytes([number]) * (50_000 * (number + 1)) for number in range(4)]
    storage.write_bytes(uri, contents[0])
    over = Event()

    def read_on() -> set[bytes]:
        seen = set()
        while not over.is_set():
            seen.add(storage.read_bytes(uri))
        return seen

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read_on)
        for number in range(100):
            storage.write_bytes(uri, contents[number % 4])
        over.set()
        assert reader.result() <= set(contents)
    assert os.listdir(tmp_path) == ["pointer.json"]


def test_a_local_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(StorageError, match=r"taken: cannot write: .*; check the path"):
        storage.write_bytes(str(tmp_path / "taken"), b"1")
    assert os.listdir(tmp_path) == ["taken"]


def test_a_write_under_way_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / ".a.bin.0123456789abcdef.tmp").write_bytes(b"half")
    assert storage.list_objects(str(tmp_path)) == []


EVERY_CALL: list[Callable[[str], Any]] = [
    lambda root: storage.read_bytes(f"{root}/a.bin"),
    lambda root: storage.write_bytes(f"{root}/a.bin", b"1"),
    lambda root: storage.list_objects(root),
    lambda root: storage.list_objects(root, recursive=True),
    lambda root: storage.exists(f"{root}/a.bin"),
    lambda root: storage.stat_many([f"{root}/a.bin"]),
    lambda root: storage.stat_many([f"{root}/{number}.bin" for number in range(20)]),
    lambda root: storage.open_read(f"{root}/a.bin"),
    lambda root: storage.delete(f"{root}/a.bin"),
]


def refusal(call: Callable[[str], Any], root: str) -> str:
    with pytest.raises(StorageError) as caught:
        call(root)
    assert caught.value.exit_code == 5
    message = str(caught.value)
    assert message.startswith(root)
    assert "\n" not in message
    return message


@pytest.mark.timeout(60)
@pytest.mark.parametrize("call", EVERY_CALL)
@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_wrong_credentials(
    s3_root: str, monkeypatch: pytest.MonkeyPatch, name: str, call: Callable[[str], Any]
) -> None:
    storage.write_bytes(f"{s3_root}/a.bin", b"1")
    monkeypatch.setenv(name, "wrong")
    message = refusal(call, s3_root)
    assert "check the credentials" in message
    assert "wrong" not in message


@pytest.mark.timeout(60)
def test_no_credentials(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "check the credentials" in refusal(storage.read_bytes, s3_root)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("call", [EVERY_CALL[0], EVERY_CALL[1], EVERY_CALL[2], EVERY_CALL[6]])
def test_a_dead_endpoint(s3_root: str, monkeypatch: pytest.MonkeyPatch, call: Callable[[str], Any]) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, but not listening: connections are refused
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert f"now {endpoint}" in refusal(call, s3_root)


@pytest.mark.parametrize("call", [EVERY_CALL[0], EVERY_CALL[1], EVERY_CALL[2], EVERY_CALL[3]])
def test_a_missing_bucket(s3_root: str, call: Callable[[str], Any]) -> None:
    assert "there is no such bucket" in refusal(call, "s3://nobody-made-this/prefix")


def test_credentials_that_were_corrected_are_used(
    s3_root: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StorageError):
        storage.write_bytes(f"{s3_root}/a.bin", b"1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    storage.write_bytes(f"{s3_root}/a.bin", b"1")


def test_the_endpoint_of_the_settings_is_used(
    s3_root: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.configure(StorageConfig(root=s3_root))
    assert os.environ["AWS_ENDPOINT_URL"] == s3_server.endpoint_url
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    storage.configure(StorageConfig(root=s3_root, endpoint_url=s3_server.endpoint_url))
    storage.write_bytes(f"{s3_root}/a.bin", b"1")


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(InputError, match=r"nosuch://bucket/a: cannot open nosuch:// URIs"):
        storage.read_bytes("nosuch://bucket/a")


# URIs


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
