"""A loopback proxy in front of an S3 server, which injects faults into requests and counts them."""

import random
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}
SLOW_PIECES, SLOW_PAUSE_S = 5, 0.05


class Fault(Enum):
    error = "500"
    slow_down = "503"
    reset = "reset"  # before the server hears of the request …
    lost_answer = "lost answer"  # … and after it has done what it was asked for
    stall = "stall"
    truncated = "truncated body"
    flipped = "flipped byte"  # of the content of an object, on the way there or back
    expired = "expired credentials"
    slow_body = "slow body"
    outage = "outage"


REFUSALS = {
    Fault.error: (500, "InternalError"),
    Fault.slow_down: (503, "SlowDown"),
    Fault.expired: (403, "ExpiredToken"),
}


class FaultyProxy:
    """The state of a running proxy.

    Args:
        upstream: host:port of the server.
        rates: share of requests with each fault.
        stall_s: seconds for which a stalled request gets no answer.
    """

    def __init__(self, upstream: str, rates: Mapping[Fault, float], seed: int, stall_s: float) -> None:
        self.upstream, self.rates, self.stall_s = upstream, dict(rates), stall_s
        self.injected: Counter[Fault] = Counter()
        self.requests: list[str] = []  # `GET /bucket/key`, in the order in which they came
        self.next: deque[Fault | None] = deque()  # of the next requests, before chance decides
        self.down = False
        self.most_at_once = 0
        self._at_once = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.endpoint_url = ""
        self._is_held: Callable[[str], bool] = lambda request: False
        self._held, self._over = threading.Event(), threading.Event()

    @contextmanager
    def holding(self, is_held: Callable[[str], bool]) -> Iterator[threading.Event]:
        """A context in which requests for which a function is true wait, and are broken off in the end; yields what is
        set as soon as one waits."""
        self._held, self._over = threading.Event(), threading.Event()
        self._is_held = is_held
        try:
            yield self._held
        finally:
            self._is_held = lambda request: False
            self._over.set()

    def has_held(self, request: str) -> bool:
        """Whether a request is one that is held; returns when it is over."""
        with self._lock:
            if not self._is_held(request):
                return False
            over = self._over
            self._held.set()
        over.wait()
        return True

    @contextmanager
    def outage(self) -> Iterator[None]:
        """A context in which nobody is answered."""
        self.down = True
        try:
            yield
        finally:
            self.down = False

    @contextmanager
    def taken(self, request: str) -> Iterator[Fault | None]:
        """The fault of a request; a context, so that requests at the same time are counted."""
        with self._lock:
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            fault = Fault.outage if self.down else self.next.popleft() if self.next else self._drawn()
        try:
            yield fault
        finally:
            with self._lock:
                self._at_once -= 1

    def count(self, fault: Fault) -> None:
        with self._lock:
            self.injected[fault] += 1

    def place(self, size: int) -> int:
        with self._lock:
            return self._random.randrange(size)

    def _drawn(self) -> Fault | None:
        drawn = self._random.random()
        for fault, rate in self.rates.items():
            drawn -= rate
            if drawn < 0:
                return fault
        return None


@contextmanager
def faulty_proxy(
    endpoint_url: str, rates: Mapping[Fault, float] | None = None, seed: int = 0, stall_s: float = 2.0
) -> Iterator[FaultyProxy]:
    """Run a proxy in front of the server at `endpoint_url`, on a free port, in threads of this process."""
    proxy = FaultyProxy(endpoint_url.removeprefix("http://"), rates or {}, seed, stall_s)

    class Handler(_Handler):
        state = proxy

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            """Clients that are killed leave broken connections behind."""

    server = Server(("127.0.0.1", 0), Handler)
    proxy.endpoint_url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: FaultyProxy

    def handle_request(self) -> None:
        body = self._body()
        request = f"{self.command} {self.path}"
        with self.state.taken(request) as fault:
            if self.state.has_held(request):
                self._break_off()
            else:
                self._answer(body, fault)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_request

    def _answer(self, body: bytes, fault: Fault | None) -> None:
        state = self.state
        if fault in (Fault.reset, Fault.outage):
            state.count(fault)
            self._break_off()
            return
        if fault is Fault.stall:
            state.count(fault)
            time.sleep(state.stall_s)
            self._break_off()
            return
        if fault in REFUSALS:
            state.count(fault)
            self._refuse(*REFUSALS[fault])
            return
        if fault is Fault.flipped and self.command == "PUT" and body:
            state.count(fault)
            body, fault = self._flipped(body), None
        connection = HTTPConnection(state.upstream, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            if body or self.command in ("PUT", "POST"):
                headers["Content-Length"] = str(len(body))
            connection.request(self.command, self.path, body=body or None, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        self._pass_on(answer, content, fault)

    def _pass_on(self, answer: HTTPResponse, content: bytes, fault: Fault | None) -> None:
        is_object = self.command == "GET" and answer.status in (200, 206) and "list-type" not in self.path and content
        if fault is Fault.lost_answer or (fault is Fault.truncated and not is_object):
            self.state.count(Fault.lost_answer)
            self._break_off()
            return
        if fault is Fault.flipped and is_object:
            content = self._flipped(content)
        elif fault is Fault.flipped:
            fault = None
        if fault is not None:
            self.state.count(fault)
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        if answer.status != 204:
            self.send_header("Content-Length", length)
        self.end_headers()
        if fault is Fault.truncated:
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self._break_off()
            return
        size = -(-len(content) // SLOW_PIECES) if fault is Fault.slow_body else max(1, len(content))
        for start in range(0, len(content), max(1, size)):
            self.wfile.write(content[start : start + size])
            self.wfile.flush()
            if fault is Fault.slow_body:
                time.sleep(SLOW_PAUSE_S)

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _flipped(self, content: bytes) -> bytes:
        place = self.state.place(len(content))
        return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]

    def _refuse(self, status: int, code: str) -> None:
        content = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _break_off(self) -> None:
        """Close the connection by a reset, as a server that crashes does."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""
