from collections.abc import Iterator
from multiprocessing import forkserver

import pytest


@pytest.fixture
def own_fork_server(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A fork server that begins with this test's streams: its children write to those that were there at its start."""
    server = forkserver.ForkServer()
    for name in ("ensure_running", "connect_to_new_process", "set_forkserver_preload", "get_inherited_fds"):
        monkeypatch.setattr(forkserver, name, getattr(server, name))
    yield
    server._stop()  # type: ignore[attr-defined]
