"""Requests through a proxy that breaks them: what passes is waited for, what does not is told."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from faulty_proxy import Fault, FaultyProxy, faulty_proxy
from s3_server import S3Server

from ds2ray import display, storage
from ds2ray.errors import StorageError
from ds2ray.storage.outages import line as outages
from ds2ray.storage.outages.line import Line

CONTENT = bytes(range(256)) * 40
LARGE = bytes(range(256)) * 2000
"""More than an open file reads at once."""


@pytest.fixture
def proxy(s3_server: S3Server, s3_root: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """A proxy that this process reaches the server by; a request that stalls is given up after two seconds."""
    with (
        faulty_proxy(s3_server.endpoint_url) as proxy,
        storage.using(storage.Server(proxy.endpoint_url, outage_s=6)),
    ):
        storage.write_bytes(f"{s3_root}/a.bin", CONTENT)
        storage.write_bytes(f"{s3_root}/large.bin", LARGE)
        yield proxy


def read_in_pieces(root: str) -> bytes:
    with storage.open_read(f"{root}/large.bin") as file:
        file.read(1)
        file.seek(300_000)
        return file.read()


REQUESTS: list[tuple[Callable[[str], Any], Any]] = [
    (lambda root: storage.read_bytes(f"{root}/a.bin"), CONTENT),
    (lambda root: storage.open_read(f"{root}/a.bin").read(), CONTENT),
    (read_in_pieces, LARGE[300_000:]),
    (lambda root: storage.write_bytes(f"{root}/there/b.bin", CONTENT), None),
    (lambda root: [info.size_bytes for info in storage.list_objects(root)], [len(CONTENT), len(LARGE)]),
    (lambda root: storage.exists(f"{root}/a.bin"), True),
    (lambda root: [info and info.size_bytes for info in storage.stat_many([f"{root}/a.bin"]).values()], [len(CONTENT)]),
    (lambda root: storage.delete(f"{root}/gone.bin"), None),
]


SOME = {
    Fault.stall: REQUESTS[:1] + REQUESTS[2:4],
    Fault.expired: REQUESTS[2:5],
    Fault.flipped: REQUESTS[:2] + REQUESTS[3:],
}
"""Of faults that cost seconds; and a byte of a piece of an object is not missed: tables hold checksums of their own."""


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.outage])
def test_every_request_outlasts_every_fault(s3_root: str, proxy: FaultyProxy, fault: Fault) -> None:
    for request, expected in SOME.get(fault, REQUESTS):
        proxy.next.extend([fault, None, fault] if fault is not Fault.stall else [fault])
        assert request(s3_root) == expected
        proxy.next.clear()
    assert storage.read_bytes(f"{s3_root}/there/b.bin") == CONTENT
    assert proxy.injected.total() >= 3


def test_a_flipped_byte_never_comes_through(s3_root: str, proxy: FaultyProxy) -> None:
    for request, expected in REQUESTS[:2]:
        for _ in range(4):
            proxy.next.extend([None] * (request is not REQUESTS[0][0]) + [Fault.flipped])
            assert request(s3_root) == expected
    assert proxy.injected[Fault.flipped] == 8


def test_tags_that_are_no_md5_are_found_out(s3_root: str, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    connection, _ = storage.connections.connect(s3_root)
    fetched = storage.whole._fetched
    monkeypatch.setattr(storage.whole, "_fetched", lambda *place: (fetched(*place)[0], "0" * 32, True))
    before = len(proxy.requests)
    assert [storage.read_bytes(f"{s3_root}/a.bin") for _ in range(3)] == [CONTENT] * 3
    assert len(proxy.requests) - before == 4
    assert connection.line.tags_are_md5 is False


def test_an_outage_is_waited_for_and_told(
    s3_root: str, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(outages, "TOLD_AFTER_S", 0.2)
    proxy.down = True
    threading.Timer(0.8, setattr, (proxy, "down", False)).start()
    proxy.most_at_once = 0
    with ThreadPoolExecutor(16) as pool:
        read = list(pool.map(storage.read_bytes, [f"{s3_root}/a.bin"] * 64))
    assert read == [CONTENT] * 64
    out = capsys.readouterr().out.splitlines()
    assert [line.partition(" answers again")[0].partition(" has not answered since")[0] for line in out] == [
        proxy.endpoint_url
    ] * 2


def short(proxy: FaultyProxy) -> storage.Server:
    return storage.Server(proxy.endpoint_url, outage_s=1)


def test_while_a_server_is_down_one_request_asks_for_all(s3_root: str, proxy: FaultyProxy) -> None:
    with proxy.outage():
        with pytest.raises(StorageError):
            storage.read_bytes(f"{s3_root}/a.bin", short(proxy))
        proxy.most_at_once, before = 0, len(proxy.requests)

        def refused(number: int) -> str:
            with pytest.raises(StorageError) as caught:
                storage.read_bytes(f"{s3_root}/a.bin", short(proxy))
            return str(caught.value)

        with ThreadPoolExecutor(8) as pool:
            messages = list(pool.map(refused, range(8)))
    assert proxy.most_at_once == 1
    assert len(proxy.requests) - before <= 8  # the outage has lasted for long enough: each asks once, at most
    assert all(f"now {proxy.endpoint_url}" in message for message in messages)


@pytest.mark.parametrize("status", [Fault.expired, Fault.error])
def test_what_does_not_pass_in_time_is_told(s3_root: str, proxy: FaultyProxy, status: Fault) -> None:
    proxy.rates = {status: 1.0}
    with pytest.raises(StorageError, match=r"a\.bin: cannot read: "):
        storage.read_bytes(f"{s3_root}/a.bin", short(proxy))


def test_what_will_not_pass_is_asked_once(s3_root: str, proxy: FaultyProxy) -> None:
    before = len(proxy.requests)
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(f"{s3_root}/missing.bin")
    with pytest.raises(StorageError, match="no such bucket"):
        storage.read_bytes("s3://nobody-made-this/a.bin")
    assert len(proxy.requests) - before == 2


class Clock:
    """A clock that only waiting advances."""

    now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@pytest.mark.parametrize(("answered", "waits_s"), [(False, outages.FIRST_ANSWER_S), (True, 60.0)])
def test_the_first_answer_is_waited_for_shortly_unless_another_process_has_had_one(
    monkeypatch: pytest.MonkeyPatch, answered: bool, waits_s: float
) -> None:
    clock = Clock()
    monkeypatch.setattr(outages, "time", clock)
    tries_s = []

    def refused() -> None:
        tries_s.append(clock.now_s - 1000)
        raise ConnectionRefusedError

    line = Line("http://s3", answered=answered)
    with pytest.raises(ConnectionRefusedError):
        line.outlast(refused, outage_s=60)
    assert waits_s <= tries_s[-1] < waits_s + outages.LONGEST_PAUSE_S
    assert waits_s / outages.LONGEST_PAUSE_S < len(tries_s) < 40
    pauses_s = [after - before for before, after in pairwise(tries_s)]
    assert pauses_s[0] <= outages.FIRST_PAUSE_S
    assert max(pauses_s) <= outages.LONGEST_PAUSE_S


def test_a_job_that_is_asked_to_stop_waits_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(outages, "time", clock)

    def refused() -> None:
        if clock.now_s > 1020:
            display.stopping()
        raise ConnectionRefusedError

    with display.opened(), pytest.raises(ConnectionRefusedError):
        Line("http://s3", answered=True).outlast(refused, outage_s=600)
    assert 1020 < clock.now_s < 1020 + outages.LONGEST_PAUSE_S
    with display.opened():
        assert not display.is_stopping()


def test_who_asks_after_a_long_outage_tries_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, tries = Clock(), []
    monkeypatch.setattr(outages, "time", clock)

    def refused() -> None:
        tries.append(clock.now_s)
        raise ConnectionRefusedError

    line = Line("http://s3", answered=True)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            line.outlast(refused, outage_s=60)
    assert sum(tried >= 1060 for tried in tries) == 3
    assert line.outlast(lambda: "here", outage_s=60) == "here"


def test_credentials_are_asked_for_anew_once_by_all_threads(s3_root: str, proxy: FaultyProxy) -> None:
    connection, _ = storage.connections.connect(s3_root)
    before = connection.plain._s3
    proxy.next.extend([Fault.expired])
    assert storage.read_bytes(f"{s3_root}/a.bin") == CONTENT
    assert connection.plain._s3 is not before


def test_servers_that_another_process_has_reached_are_known(s3_root: str) -> None:
    known, unknown = storage.Server("http://127.0.0.1:2"), storage.Server("http://127.0.0.1:3")
    storage.known_to_answer(known)
    assert [storage.connections.connect("s3://a", server)[0].line.answered for server in (known, unknown)] == [
        True,
        False,
    ]
