"""A way to a server of this machine, all connections of which can be cut at once, as a network does."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Forwarder:
    """Passes on what goes to its port to another port, and back.

    Args:
        port: of the server.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()

    def accept(self) -> None:
        """Take connections until the listener is closed."""
        with suppress(OSError):
            while True:
                taken, _ = self.listener.accept()
                onward = socket.create_connection(("127.0.0.1", self.port))
                self._open |= {taken, onward}
                for pair in ((taken, onward), (onward, taken)):
                    threading.Thread(target=_pass_on, args=pair, daemon=True).start()

    def cut(self) -> int:
        """Cut all connections; returns how many there were."""
        cut, self._open = self._open, set()
        for one in cut:
            _shut(one)
            one.close()
        return len(cut) // 2


@contextmanager
def forwarding(port: int) -> Iterator[Forwarder]:
    """Forward to a port of this machine until the context ends."""
    forwarder = Forwarder(port)
    thread = threading.Thread(target=forwarder.accept, daemon=True)
    thread.start()
    try:
        yield forwarder
    finally:
        _shut(forwarder.listener)
        forwarder.listener.close()
        forwarder.cut()
        thread.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    _shut(target)


def _shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
