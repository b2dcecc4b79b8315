"""The stream of a live display, by the kinds of the process's streams."""

import io
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from ds2ray.display.streams import LOG_WIDTH, Surviving, columns, live_stream

KINDS = ("terminal", "pipe", "file", "null", "closed")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[TextIO]:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("CI", "COLUMNS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream:
        yield stream
    os.close(master)


def stream_of(kind: str, terminal: TextIO, folder: Path) -> TextIO:
    if kind == "terminal":
        return terminal
    if kind == "pipe":
        read_end, write_end = os.pipe()
        os.close(read_end)
        return os.fdopen(write_end, "w")
    stream = open(os.devnull if kind == "null" else folder / "out", "w", encoding="utf-8")  # noqa: SIM115
    if kind == "closed":
        stream.close()
    return stream


@pytest.mark.parametrize("out", KINDS)
@pytest.mark.parametrize("err", KINDS)
def test_it_is_live_where_a_person_sees_it(
    out: str, err: str, terminal: TextIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = [stream_of(kind, terminal, tmp_path) for kind in (out, err)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    expected = "stdout" if out == "terminal" else "stderr" if err == "terminal" and out in ("file", "null") else None
    found = live_stream()
    assert found is (getattr(sys, expected) if expected else None)
    for stream in streams:
        if stream is not terminal:
            stream.close()


@pytest.mark.parametrize(
    ("name", "value", "live"),
    [
        *[("TERM", value, False) for value in ("", "dumb", "unknown")],
        *[("CI", value, False) for value in ("true", "1")],
        *[("CI", value, True) for value in ("", "false", "0")],
        ("NO_COLOR", "1", True),
    ],
)
def test_the_environment_may_speak_against_it(
    name: str, value: str, live: bool, terminal: TextIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv(name, value)
    assert (live_stream() is terminal) is live


def test_a_table_is_as_wide_as_the_terminal_that_shows_it(
    terminal: TextIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl
    import struct
    import termios

    fcntl.ioctl(terminal.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 24, 93, 0, 0))
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, terminal)
    assert columns() == 93
    with stream_of("pipe", terminal, tmp_path) as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert columns() == 93  # a pager's
        monkeypatch.setenv("COLUMNS", "70")
        assert columns() == 70
        monkeypatch.delenv("COLUMNS")
    with stream_of("file", terminal, tmp_path) as file:
        monkeypatch.setattr(sys, "stdout", file)
        assert columns() == LOG_WIDTH


def test_a_reader_that_leaves_stops_nothing() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as stream:
        print("to nobody", file=Surviving(stream), flush=True)
        print("and again", file=Surviving(stream), flush=True)
        assert os.fstat(stream.fileno()).st_rdev == os.stat(os.devnull).st_rdev


def test_a_full_disk_is_an_error() -> None:
    with pytest.raises(OSError, match="No space"), open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PT012
        try:
            print("x", file=Surviving(full), flush=True)
        finally:
            full.detach()


@pytest.mark.process
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_process_without_streams_gets_them(closed: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys\n"
        "from ds2ray.display.streams import make_whole\n"
        "make_whole()\n"
        "print('said'); print('said', file=sys.stderr); sys.stdout.flush()\n"
        "with open(sys.argv[1], 'w') as file:\n"
        "    assert file.fileno() > 2\n"
        "    file.write('written')\n"
    )
    written = tmp_path / "written"
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" "{program}" "{written}" {closed}'], capture_output=True, check=False
    )
    assert done.returncode == 0
    assert written.read_text() == "written"


@pytest.mark.process
def test_an_encoding_without_our_signs_is_no_error(tmp_path: Path) -> None:
    program = (
        "from ds2ray.display.streams import make_whole; from ds2ray import display\n"
        "make_whole(); display.say('3/8 users · eta 2m … 한글')\n"
    )
    for encoding in ("ascii", "latin-1"):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, env=environment, cwd=tmp_path
        )
        assert done.stdout.decode(encoding).startswith("3/8 users")
        assert done.stderr == b""


def test_written_text_is_not_kept() -> None:
    kept = io.StringIO()
    assert Surviving(kept).write("abc") == 3
    assert kept.getvalue() == "abc"
