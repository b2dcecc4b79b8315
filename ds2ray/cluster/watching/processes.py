"""The end of a job whose raylet or GCS is gone: with the code of an interruption, so that it is run again.

Ray itself ends the process of such a job with code 1, in the middle of some later call and with pages of its own state,
or lets it wait for ever.
"""

import os
import select
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import ray._private.worker

from ds2ray import display
from ds2ray.errors import InterruptedRunError
from ds2ray.naming import command

RAYLET = "raylet"
NEEDED = {RAYLET: RAYLET, "gcs_server": "GCS"}
"""Processes of Ray that a job cannot do without where it has started them itself: as Ray names them, and as people do.
A GCS that somebody else has started may come back."""

STOPS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
"""Signals that come to a whole group of processes, the job among them, which then ends in order by itself."""

STOP_S = 10.0
"""Seconds that the job has to end by itself, where a process of Ray has got one of STOPS."""

LAST_WORDS_S = 3.0
"""Seconds at most for the message: nobody may be reading a pipe that is full."""


@contextmanager
def ended_with_ray() -> Iterator[None]:
    """A context in which this process ends, with code 75 and a sentence, as soon as the Ray that it uses is gone.

    The process ends at once and does not unwind, as each further call of Ray's may end it with another code. That is
    the end of a job that is killed: the next run finds all that it needs in the store.
    """
    with watched(needed_processes()):
        yield


@contextmanager
def watched(pids: Mapping[str, int]) -> Iterator[None]:
    """A context in which this process ends, with code 75 and a sentence, as soon as one of these has ended.

    Args:
        pids: processes by the names that the sentence has for them; none are watched where the system has no means.
    """
    with ExitStack() as descriptors:
        names: dict[int, str] = {}
        for name, pid in pids.items():
            with suppress(OSError, AttributeError):  # it has ended just now, or this is no Linux
                descriptor = os.pidfd_open(pid)
                descriptors.callback(os.close, descriptor)
                names[descriptor] = name
        done, undone = os.pipe()
        descriptors.callback(os.close, done)
        over = threading.Event()
        thread = threading.Thread(target=_watch, args=(names, done, over), name="ends with Ray", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            os.close(undone)
            thread.join()


def needed_processes() -> dict[str, int]:
    """The processes of the connected cluster on this machine that the job cannot do without, by name."""
    node: Any = ray._private.worker._global_node
    started = {
        name: node.all_processes[process_type][0].process.pid
        for process_type, name in NEEDED.items()
        if process_type in node.all_processes
    }
    return started or _raylet_of(node.raylet_socket_name)


def _raylet_of(socket_name: str) -> dict[str, int]:
    """The raylet of this machine with this socket, that of a cluster which somebody else has started."""
    argument = f"--raylet_socket_name={socket_name}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            if argument in (folder / "cmdline").read_bytes().split(b"\0"):
                return {RAYLET: int(folder.name)}
    return {}


def _watch(names: Mapping[int, str], done: int, over: threading.Event) -> None:
    """Wait until one of the processes ends, and end this one; return where the other end of `done` is closed first.

    Args:
        names: of processes, by their descriptors.
    """
    poll = select.poll()
    for descriptor in (*names, done):
        poll.register(descriptor, select.POLLIN)
    gone = [descriptor for descriptor, _ in poll.poll() if descriptor in names]
    if not gone or over.is_set():
        return
    number = _signal_of(gone[0])
    if number in STOPS and over.wait(STOP_S):
        return
    _end(names[gone[0]], number)


def _signal_of(descriptor: int) -> int:
    """The signal that has ended a process; 0 where it was none, or where the process is not a child of this one."""
    with suppress(ChildProcessError):
        ended = os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if ended is not None and ended.si_code in (os.CLD_KILLED, os.CLD_DUMPED):
            return ended.si_status
    return 0


def _end(name: str, number: int) -> None:
    """End this process, whatever its other threads are doing."""
    code = InterruptedRunError.exit_code
    threading.Thread(target=_end_later, args=(code,), daemon=True).start()
    how = f" by {signal.Signals(number).name}" if number else ""
    with suppress(Exception):  # whatever the terminal does
        display.leave()
        display.complain(
            f"{command()}: Ray's {name} has ended{how} while the job was at work; nothing that is finished is lost: "
            "run it again (where memory was short, which the machine's log tells, with fewer trials at once)"
        )
    os._exit(code)


def _end_later(code: int) -> None:
    threading.Event().wait(LAST_WORDS_S)
    os._exit(code)
