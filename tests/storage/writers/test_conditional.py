"""Conditional writes on every kind of storage, and the probe that tells whether a server honours them."""

import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moto_server import serve_moto
from s3_server import S3Server

from ds2ray import storage
from ds2ray.errors import StorageError
from ds2ray.storage import Seen
from ds2ray.storage.writers import conditional

KINDS = (
    "path",
    "memory",
    pytest.param("s3", marks=pytest.mark.s3),
    pytest.param("moto", marks=[pytest.mark.s3, pytest.mark.process]),
)


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    with serve_moto() as server:
        yield server


@pytest.fixture(params=KINDS)
def uri(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An object that is not there, in a folder that is not there."""
    if request.param == "moto":
        server = request.getfixturevalue("moto")
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        root = server.new_root()
    elif request.param == "s3":
        root = request.getfixturevalue("s3_root")
    else:
        root = str(tmp_path) if request.param == "path" else f"memory://{secrets.token_hex(4)}"
    return storage.join(root, "a folder", "record.json")


def test_it_is_written_where_it_is_what_was_seen(uri: str) -> None:
    absent = storage.read_seen(uri)
    assert absent.data is None
    assert storage.write_where_seen(uri, b"first", absent)
    assert not storage.write_where_seen(uri, b"second", absent)
    first = storage.read_seen(uri)
    assert first.data == b"first"
    assert storage.write_where_seen(uri, b"second", first)
    assert not storage.write_where_seen(uri, b"third", first)
    assert storage.read_bytes(uri) == b"second"
    storage.delete(uri)
    assert not storage.write_where_seen(uri, b"third", first)
    assert not storage.exists(uri)


def test_what_holds_these_bytes_counts_as_written(uri: str) -> None:
    """The answer to a request may be lost, and the request sent again."""
    absent = storage.read_seen(uri)
    assert storage.write_where_seen(uri, b"mine", absent)
    assert storage.write_where_seen(uri, b"mine", absent)


def test_a_last_look_keeps_it_as_it_is(uri: str) -> None:
    def look() -> None:
        raise StorageError("no right")

    with pytest.raises(StorageError, match="no right"):
        storage.write_where_seen(uri, b"mine", storage.read_seen(uri), last_look=look)
    assert not storage.exists(uri)


def test_nothing_is_left_beside_it(uri: str) -> None:
    storage.write_where_seen(uri, b"mine", storage.read_seen(uri))
    storage.write_where_seen(uri, b"other", Seen(b"else", "0" * 32))
    storage.honours_conditions(uri)
    assert [info.uri for info in storage.list_objects(storage.parent(uri))] == [uri]
    if storage.is_local(uri):
        assert [path.name for path in Path(uri).parent.iterdir()] == ["record.json"]


def test_of_many_one_writes_where_conditions_are_honoured_and_who_is_not_told_has_not_written(uri: str) -> None:
    storage.write_bytes(uri, b"before")
    seen, written = storage.read_seen(uri), list[bytes]()

    def write(number: int) -> None:
        if storage.write_where_seen(uri, b"%d" % number, seen):
            written.append(b"%d" % number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.read_bytes(uri) in written
    assert len(written) == 1 or not storage.honours_conditions(uri)


def test_a_folder_that_a_stopped_process_has_locked_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditional, "LOCKED_S", 0.02)
    with conditional._locked(str(tmp_path)):
        assert storage.write_where_seen(str(tmp_path / "a"), b"a", Seen(None))


@pytest.mark.s3
@pytest.mark.process
def test_a_server_that_honours_conditions_is_told_from_one_that_does_not(
    moto: S3Server, s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not storage.honours_conditions(f"{s3_root}/a")
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    assert storage.honours_conditions(f"{moto.new_root()}/a")


Answer = Callable[[str, bytes, Seen, object], bool]


def _refuses_as_such(uri: str, data: bytes, seen: Seen, server: object) -> bool:
    raise StorageError("501 NotImplemented")


@pytest.mark.s3
@pytest.mark.parametrize(
    "answer",
    [
        lambda uri, data, seen, server: True,  # as if each had been written, and none is
        lambda uri, data, seen, server: False,
        _refuses_as_such,
    ],
)
def test_odd_answers_count_as_no(s3_root: str, monkeypatch: pytest.MonkeyPatch, answer: Answer) -> None:
    monkeypatch.setattr(conditional, "_answers", {})
    monkeypatch.setattr(conditional, "_put", answer)
    assert not storage.honours_conditions(f"{s3_root}/a")


@pytest.mark.s3
def test_a_server_that_takes_nothing_is_not_taken_for_one_that_refuses_conditions(
    s3_server: S3Server, s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditional, "_answers", {})
    with pytest.raises(StorageError, match="no such bucket"):
        storage.honours_conditions("s3://no-such-bucket/a")
    assert conditional._answers == {}


def test_an_object_has_an_age_by_the_storage_s_own_clock(uri: str) -> None:
    with pytest.raises(FileNotFoundError):
        storage.age_s(uri)
    storage.write_bytes(uri, b"x")
    age_s = storage.age_s(uri)
    assert age_s is not None
    assert 0 <= age_s < 60
    assert [info.uri for info in storage.list_objects(storage.parent(uri))] == [uri]
