"""The identity of a process, by which nobody is taken for another: boot, process namespace, process and its start.

A name of a machine says nothing: containers share theirs, and may have the same process ids, too.
"""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A process, wherever it runs.

    Attributes:
        boot: of its kernel, a random id that each start of a machine draws; empty where it cannot be known.
        namespace: of its process id, which containers have of their own; empty where it cannot be known.
        started: when it began, in the kernel's ticks since the boot; 0 where it cannot be known.
        host: name of the machine, for people alone.
    """

    boot: str
    namespace: str
    process_id: int
    started: int
    host: str

    def is_beside(self, other: "Identity") -> bool:
        """Whether both see the same processes."""
        known = self.boot and self.namespace
        return bool(known) and (self.boot, self.namespace) == (other.boot, other.namespace)

    def is_same(self, other: "Identity") -> bool:
        """Whether both are one process."""
        beside = self.is_beside(other)
        return beside and (self.process_id, self.started) == (other.process_id, other.started)


def this_process() -> Identity:
    """The identity of this process."""
    return Identity(
        boot=_read("/proc/sys/kernel/random/boot_id"),
        namespace=_namespace(),
        process_id=os.getpid(),
        started=_status_of(os.getpid())[1],
        host=socket.gethostname(),
    )


def is_gone(process: Identity, here: Identity) -> bool:
    """Whether a process has certainly ended: it ran beside this one, and is there no more."""
    if not process.is_beside(here):
        return False
    try:
        os.kill(process.process_id, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    state, started = _status_of(process.process_id)
    return state == "Z" or bool(started and process.started and started != process.started)


def boot_clock_s() -> float:
    """Seconds of a clock that nobody sets, and that goes on while a process is stopped or the machine sleeps."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass(frozen=True)
class Clocks:
    """What tells the time: a clock that people read (seconds since 1970), the clock of the boot, and waiting."""

    wall_s: Callable[[], float] = time.time
    boot_s: Callable[[], float] = boot_clock_s
    sleep: Callable[[float], None] = time.sleep


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _status_of(process_id: int) -> tuple[str, int]:
    """State and start of a process, in ticks since the boot; empty and 0 where they cannot be known."""
    status = _read(f"/proc/{process_id}/stat").rpartition(")")[2].split()  # behind the name, which may hold anything
    try:
        return status[0], int(status[19])
    except (IndexError, ValueError):
        return "", 0


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
