"""CPU seconds of a command with all the processes that it starts, those that it never waits for among them."""

import ctypes
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LOOK_EVERY_S = 0.1
"""Seconds between two looks at the processes: what a descendant uses between the last look and its end is not seen."""

PR_SET_CHILD_SUBREAPER = 36
"""Linux's prctl(2): processes whose parent ends become children of this one."""


def run_counted(argv: Sequence[str], cwd: Path, environment: Mapping[str, str], log: Path) -> float:
    """Run a command to its end, with its output in a file; CPU seconds of it and its descendants.

    Raises:
        RuntimeError: it ended with another code than 0.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = _descendants(os.getpid())  # of an earlier command, say, and not ended yet
    spent: dict[tuple[int, int], float] = {}
    with log.open("wb") as output:
        process = subprocess.Popen(argv, cwd=cwd, env=dict(environment), stdout=output, stderr=subprocess.STDOUT)
        running = True
        while running:
            running = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None
            spent.update(_descendants(os.getpid()))
            time.sleep(LOOK_EVERY_S)
        process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} ended with {process.returncode}:\n{log.read_text(errors='replace')}")
    return sum(seconds for one, seconds in spent.items() if one not in before)


def _descendants(ancestor: int) -> dict[tuple[int, int], float]:
    """CPU seconds of living descendants by process id and start."""
    parents: dict[int, int] = {}
    used: dict[int, tuple[int, float]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        parents[int(entry.name)] = int(fields[1])
        ticks = int(fields[11]) + int(fields[12])
        used[int(entry.name)] = int(fields[19]), ticks / os.sysconf("SC_CLK_TCK")
    found: dict[tuple[int, int], float] = {}
    for pid in parents:
        above = parents[pid]
        while above not in (0, ancestor):
            above = parents.get(above, 0)
        if above == ancestor:
            start, seconds = used[pid]
            found[pid, start] = seconds
    return found
