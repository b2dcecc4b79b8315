"""What a write sends to a server: nothing that waits for an answer without a limit."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ds2ray import storage
from ds2ray.storage import Server


class Received(ThreadingHTTPServer):
    headers: list[dict[str, str]]
    bodies: list[bytes]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Received

    def do_PUT(self) -> None:
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-a-test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = Received(("127.0.0.1", 0), _Handler)
    server.headers, server.bodies = [], []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_write_does_not_ask_first_whether_it_may(received: Received) -> None:
    """The answer to `Expect: 100-continue` is waited for without a limit, and a server that has stopped gives none."""
    storage.write_bytes("s3://b/a", b"content", Server(f"http://127.0.0.1:{received.server_port}"))
    assert b"content" in received.bodies[0]
    assert "expect" not in received.headers[0]
