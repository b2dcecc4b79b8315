"""What is counted of requests to servers, which a server in memory stands for: local files are no traffic."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ds2ray import storage
from ds2ray.storage import Traffic, traffic_so_far
from ds2ray.storage.outages.line import Line


def test_bytes_and_requests_of_a_server_are_counted_and_those_of_local_files_are_not(tmp_path: Path) -> None:
    before = traffic_so_far()
    storage.write_bytes(str(tmp_path / "a"), b"local")
    storage.read_bytes(str(tmp_path / "a"))
    assert traffic_so_far() == before
    storage.write_bytes("memory://traffic/a", b"12345")
    assert storage.read_bytes("memory://traffic/a") == b"12345"
    with storage.open_read("memory://traffic/a") as file:
        assert file.read() == b"12345"
    found = traffic_so_far() - before
    assert (found.read_bytes, found.written_bytes, found.retries) == (10, 5, 0)
    assert found.requests >= 3


def test_a_request_that_is_sent_again_is_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: Iterator[bytes | Exception] = iter([ConnectionError("reset"), ConnectionError("reset"), b"there"])

    def request() -> bytes:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("ds2ray.storage.outages.line.FIRST_PAUSE_S", 0.0)
    before = traffic_so_far()
    assert Line("server", answered=True).outlast(request, 60.0) == b"there"
    assert traffic_so_far() - before == Traffic(requests=3, retries=2)


def test_traffic_adds_up() -> None:
    assert Traffic(1, 2, 3, 4) + Traffic(1, 1, 1, 1) - Traffic(2, 2, 2, 2) == Traffic(0, 1, 2, 3)
