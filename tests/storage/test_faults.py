"""What is wrong with one address, told apart from a store that fails everybody."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from ds2ray import storage
from ds2ray.errors import ArtifactCorruptError, ConfigError, InputError, StorageError
from ds2ray.storage import AddressFault, Server, asked, fault_of, faults


@pytest.fixture(autouse=True)
def nobody_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "_silent", {})


def raising(error: Exception, calls: list[str] | None = None) -> Callable[[], bytes]:
    def work() -> bytes:
        if calls is not None:
            calls.append("")
        raise error

    return work


def of(cause: Exception) -> StorageError:
    error = StorageError(f"s3://b/a: cannot read: {cause}; run again")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("uri", "error", "reason"),
    [
        ("/a", FileNotFoundError("/a"), "there is no such file"),
        ("/a", InputError("/a: is empty"), "is empty"),
        ("/a", OSError(errno.EIO, "Input/output error", "/a"), "cannot be opened, Input/output error"),
        ("/a", ValueError("odd"), "cannot be read, ValueError: odd"),
        ("", RecursionError(), "cannot be read, RecursionError"),
        ("s3://b/a", of(ConnectionError("no route")), "cannot be reached, no route; run again"),
        ("gs://b/a", of(ConnectionError("no route")), "cannot be reached, s3://b/a: no route; run again"),
    ],
)
def test_one_address_has_a_fault(uri: str, error: Exception, reason: str) -> None:
    assert asked(uri, raising(error)) == AddressFault(reason)
    assert fault_of(uri, error) == reason


def test_what_can_be_read_is_the_result(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"RIFF")
    uri = str(tmp_path / "a")
    assert asked(uri, lambda: storage.read_bytes(uri)) == b"RIFF"


@pytest.mark.parametrize("error", [ConfigError("a"), KeyboardInterrupt()])
def test_what_concerns_the_job_is_raised(error: BaseException) -> None:
    def work() -> None:
        raise error

    with pytest.raises(type(error)):
        asked("/a", work)


@pytest.mark.parametrize(
    ("uri", "error", "ends"),
    [
        ("s3://b/a", of(ConnectionError("no route")), True),
        ("s3a://b/a", of(OSError(errno.EIO, "slow down")), True),
        ("s3://b/a", ArtifactCorruptError("s3://b/a: another size"), True),
        ("s3://b/a", of(PermissionError("forbidden")), False),
        ("s3://b/a", of(ValueError("Parameter validation failed")), False),
        ("http://h/a", of(ConnectionError("no route")), False),
        ("/a", of(ConnectionError("no route")), False),
    ],
)
def test_only_the_store_s_own_server_ends_a_run(uri: str, error: StorageError, ends: bool) -> None:
    with storage.using(Server("http://127.0.0.1:9", holds_store=True)):
        if ends:
            with pytest.raises(StorageError):
                asked(uri, raising(error))
        else:
            assert isinstance(asked(uri, raising(error)), AddressFault)
    with storage.using(Server("http://127.0.0.1:9")):
        assert isinstance(asked(uri, raising(error)), AddressFault)


def test_a_place_that_does_not_answer_is_left_alone_for_a_while() -> None:
    calls: list[str] = []
    dead = raising(of(ConnectionError("no route")), calls)
    found = [asked(f"s3://b/{number}", dead) for number in range(1000)]
    assert len(calls) == faults.DEAD_AFTER
    assert {fault.reason for fault in found if isinstance(fault, AddressFault)} == {
        "cannot be reached, s3://b/a: no route; run again"
    }
    assert asked("s3://other/a", lambda: b"here") == b"here"
    with storage.using(Server("http://127.0.0.1:9")):
        assert asked("s3://b/a", lambda: b"here") == b"here"


def test_a_place_that_answers_in_between_is_not_left_alone() -> None:
    calls: list[str] = []
    for _ in range(10):
        asked("s3://b/a", raising(of(ConnectionError("no route")), calls))
        assert asked("s3://b/b", lambda: b"here") == b"here"
    assert len(calls) == 10


def test_one_object_that_may_not_be_read_says_nothing_of_its_place() -> None:
    calls: list[str] = []
    for number in range(10):
        asked(f"s3://b/{number}", raising(of(PermissionError("forbidden")), calls))
    assert len(calls) == 10
