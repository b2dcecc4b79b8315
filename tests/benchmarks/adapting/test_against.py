import os
import signal
import sys
from pathlib import Path

import pytest

from benchmarks.adapting.against import falls_short
from benchmarks.adapting.cpu_time import run_counted

pytestmark = pytest.mark.process

BURNING = """
import os, sys, time
def burn():
    while time.process_time() < 0.5: pass
reading, writing = os.pipe()
pid = os.fork()
burn()
if pid == 0:
    os.setsid()
    os.write(writing, b"done")
    time.sleep(600)
print(os.read(reading, 4), pid)
"""


def test_of_a_command_and_of_an_orphan_that_it_leaves(tmp_path: Path) -> None:
    log = tmp_path / "log"
    spent = run_counted([sys.executable, "-c", BURNING], tmp_path, os.environ, log)
    printed, pid = log.read_text().split()
    assert printed == "b'done'"
    assert spent >= 0.9  # of one second, in hundredths that are cut off
    before = run_counted([sys.executable, "-c", "pass"], tmp_path, os.environ, log)
    assert before < 0.5  # that of the orphan is not counted twice
    os.kill(int(pid), signal.SIGKILL)
    os.waitpid(int(pid), 0)


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="(?s)ended with 3.*no such thing"):
        run_counted(
            [sys.executable, "-c", "print('no such thing'); raise SystemExit(3)"],
            tmp_path,
            os.environ,
            tmp_path / "log",
        )


def test_the_bars() -> None:
    good = {"other": {"wer": 5.0}, "this": {"wer": 5.9}}
    bad = {"other": {"wer": 5.0}, "this": {"wer": 6.1}}
    assert falls_short({"default": {"ratio": 4.0, **good}, "last": {"ratio": 1.5, **good}}) == []
    assert falls_short({"default": {"ratio": 3.9, **good}, "last": {"ratio": 1.5, **bad}}) == [
        "default.ratio",
        "last.wer",
    ]
