import multiprocessing
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pytest

from ds2ray import storage
from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.storage.objects import sweep


@pytest.fixture(params=["path", "file", "memory", pytest.param("s3", marks=pytest.mark.s3)])
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


@pytest.mark.process
@pytest.mark.parametrize("root", ["path", pytest.param("s3", marks=pytest.mark.s3)], indirect=True)
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


class TestLocalDisk:
    def test_a_rename_is_put_on_the_disk_with_its_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        done: list[str] = []
        sync, replace = os.fsync, os.replace

        def synced(descriptor: int) -> None:
            done.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
            sync(descriptor)

        def replaced(source: str, target: str) -> None:
            done.append("renamed")
            replace(source, target)

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(os, "replace", replaced)
        storage.write_bytes(str(tmp_path / "new" / "deep" / "a.bin"), b"1")
        above, new, file, renamed, deep = done
        assert (above, new, renamed, deep) == (tmp_path.name, "new", "renamed", "deep")
        assert file.startswith(".a.bin.")

    def test_what_killed_writers_left_is_swept_and_what_lives_is_not(self, tmp_path: Path) -> None:
        left, living = tmp_path / f".a.bin.{'0' * 16}.tmp", tmp_path / f".b.bin.{'1' * 16}.tmp"
        others = [tmp_path / ".hidden", tmp_path / "a.tmp", tmp_path / ".a.bin.tmp"]
        for path in (left, living, *others):
            path.write_bytes(b"half")
        for path in (left, *others):
            os.utime(path, (0, 0))
        storage.write_bytes(str(tmp_path / "c.bin"), b"1")
        assert not left.exists()
        assert all(path.exists() for path in (living, *others))
        assert sweep(str(tmp_path)) == 0

    def test_a_long_name_of_wide_letters_is_written(self, tmp_path: Path) -> None:
        name = "한" * 80  # 240 bytes
        storage.write_bytes(str(tmp_path / name), b"1")
        assert storage.read_bytes(str(tmp_path / name)) == b"1"


def test_no_more_than_the_limit_is_read(root: str) -> None:
    uri = storage.join(root, "a.bin")
    for data in (b"", b"1234"):
        storage.write_bytes(uri, data)
        assert storage.read_bytes(uri, max_bytes=4) == data
    storage.write_bytes(uri, b"12345")
    with pytest.raises(ArtifactCorruptError, match=r"a\.bin: more than the 4 bytes that it may have"):
        storage.read_bytes(uri, max_bytes=4)
