"""The live display, drawn on a real pseudo-terminal and read from an emulated screen."""

import fcntl
import os
import pickle
import pty
import select
import struct
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pyte
import pytest

from ds2ray import display
from ds2ray.display.doing import Doing
from ds2ray.display.live import REFRESHES_PER_S
from ds2ray.display.log import LogDisplay


class Window:
    """A terminal of this process's own stdout and stderr."""

    def __init__(self, columns: int = 80) -> None:
        self.screen = pyte.HistoryScreen(columns, 12, history=1000)
        self.stream = pyte.ByteStream(self.screen)
        self.master, slave = pty.openpty()
        self.resize(columns)
        self.output = os.fdopen(slave, "w", encoding="utf-8")

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 12, columns, 0, 0))
        self.screen.resize(12, columns)

    def lines(self) -> list[str]:
        """The lines on the screen, and those that have left it at the top."""
        drawn_by_s = time.monotonic() + 3 / REFRESHES_PER_S
        # to a pause, so that nothing is drawn by half
        while time.monotonic() < drawn_by_s or select.select([self.master], [], [], 0.3 / REFRESHES_PER_S)[0]:
            if select.select([self.master], [], [], 0.01)[0]:
                self.stream.feed(os.read(self.master, 65536))
        above = ["".join(row[x].data for x in range(self.screen.columns)) for row in self.screen.history.top]
        return [line.rstrip() for line in [*above, *self.screen.display] if line.strip()]


@contextmanager
def opened_on(window: Window) -> Iterator[None]:
    """The display of a process whose streams are the window; pytest's own come back between a test's phases."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("stdin", "stdout", "stderr"):
            patch.setattr(sys, name, window.output)
        with display.opened():
            yield


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("CI", "COLUMNS", "LINES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    opened = Window()
    yield opened
    opened.output.close()
    os.close(opened.master)


def test_what_goes_on_is_below_the_lines_that_stay(window: Window) -> None:
    with opened_on(window):
        assert display.is_live()
        display.say("8 users")
        display.doing("training", "3/8 users", "2 adapted", "eta 2m", share=0.5)
        display.say("cohort 3 is started again")
        lines = window.lines()
        assert lines[:2] == ["8 users", "cohort 3 is started again"]
        assert "training 0s" in lines[2]
        assert lines[2].endswith("50%")
        assert lines[3].strip() == "3/8 users · 2 adapted · eta 2m"
        display.doing("publishing")
        assert [line.split()[1] for line in window.lines()[2:]] == ["publishing"]
    assert window.lines() == ["8 users", "cohort 3 is started again"]
    assert not window.screen.cursor.hidden


def test_what_others_print_appears_above(window: Window) -> None:
    with opened_on(window):
        display.doing("training")
        print("a library speaks")
        print("so does another", file=sys.stderr)
        assert window.lines()[:2] == ["a library speaks", "so does another"]
    assert window.lines() == ["a library speaks", "so does another"]


def test_many_threads_lose_no_line(window: Window) -> None:
    def speak(name: str) -> None:
        for number in range(40):
            display.say(f"{name} {number}")
            # one and two lines of display by turns
            display.doing(name, *["fact"] * (number % 2))

    with opened_on(window):
        display.doing("working")
        threads = [threading.Thread(target=speak, args=(name,)) for name in ("a", "b", "c")]
        for thread in threads:
            thread.start()
        found = window.lines()
        while any(thread.is_alive() for thread in threads):
            found = window.lines()
        for thread in threads:
            thread.join()
    found = window.lines()
    assert sorted(found) == sorted(f"{name} {number}" for name in "abc" for number in range(40))


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_it_fits_the_window(window: Window, columns: int) -> None:
    window.resize(columns)
    with opened_on(window):
        facts = ("312/1000 users", "298 adapted", "9 kept", "41 users/min", "eta 17m")
        display.doing("training", *facts, share=0.3)
        lines = window.lines()
        shown = " ".join(line.strip() for line in lines)
        assert all(word in shown for fact in facts for word in fact.split())
        assert len(lines) <= 8
    assert window.lines() == []


def test_it_follows_the_window(window: Window) -> None:
    with opened_on(window):
        display.doing("training", "312/1000 users", "298 adapted", share=0.3)
        assert "━" in window.lines()[0]
        window.resize(60)
        time.sleep(0.3)
        assert "━" not in window.lines()[-2]
        display.say("a line")
    assert "a line" in window.lines()


def test_without_colour(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with opened_on(window):
        display.doing("training", "3/8 users")
        assert "training" in window.lines()[0]
        rows = window.screen.buffer
        assert {rows[y][x].fg for y in range(2) for x in range(30)} == {"default"}


def test_a_display_that_stops_says_so(window: Window) -> None:
    with opened_on(window):
        display.doing("training")
        display.stopping()
        assert "stopping" in window.lines()[0]


def test_a_name_cannot_command_the_terminal(window: Window) -> None:
    with opened_on(window):
        display.say("user \x1b[2J\x07amy")
        assert window.lines() == ["user \\x1b[2J\\x07amy"]


def test_a_log_gets_lines_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    log = LogDisplay()
    log.doing(Doing("training", ("3/8 users",), 0.4), every_s=3600.0)
    log.doing(Doing("training", ("4/8 users", "eta 2m"), 0.5), every_s=0.0)
    log.say("done")
    assert capsys.readouterr().out == "training · 4/8 users · eta 2m\ndone\n"


def test_news_can_be_sent_by_a_worker() -> None:
    news = Doing("epoch 3/50", ("step 1/2",), 0.1)
    assert pickle.loads(pickle.dumps(news)) == news
