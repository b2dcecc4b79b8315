"""Errors of a store that fails: one message, within seconds."""

import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from botocore.exceptions import HTTPClientError  # type: ignore[import-untyped]
from s3_server import S3Server

from ds2ray import storage
from ds2ray.errors import InputError, StorageError
from ds2ray.storage import Server
from ds2ray.storage.errors import reporting


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
        with storage.using(Server(outage_s=0.5)):
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


@pytest.mark.parametrize("root", ["folder", pytest.param("s3", marks=pytest.mark.s3)])
def test_a_defect_keeps_its_own_type(root: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    nothing: Any = None
    with pytest.raises(TypeError):
        storage.write_bytes(f"{tmp_path if root == 'folder' else request.getfixturevalue('s3_root')}/a.bin", nothing)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (AttributeError("no attribute"), AttributeError),
        (KeyError("name"), KeyError),
        (AssertionError(), AssertionError),
        (MemoryError(), MemoryError),
        (OSError(28, "no space left"), StorageError),
        (TimeoutError(), StorageError),
        (ValueError("embedded null byte"), StorageError),
        (HTTPClientError(error="connection reset"), StorageError),
        (FileNotFoundError(2, "gone"), FileNotFoundError),
    ],
)
def test_only_what_storage_raises_is_told_as_its_error(error: Exception, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught, reporting("s3://bucket/a.bin", "read"):
        raise error
    assert type(caught.value) is expected


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(InputError, match=r"nosuch://bucket/a: cannot open nosuch:// URIs"):
        storage.read_bytes("nosuch://bucket/a")
