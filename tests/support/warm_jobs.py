"""Jobs in processes of their own that begin with the heavy libraries imported, which takes a fresh one seconds.

They are forked by a server, this file as a program, which each process of pytest starts once; everything else is as in
a fresh process: arguments, environment, folder, streams, terminal, signals and exit. A test of how a job starts starts
a fresh one.
"""

import atexit
import contextlib
import fcntl
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

IMPORTED = ("ds2ray.cluster.fleet", "ds2ray.cluster.base_training", "ds2ray.commands.adapt_users")
LONGEST_REQUEST = 1 << 18
"""Bytes of a request at most: arguments and environment."""
COMPOSING_AND_DRAWING = ("ds2ray.commandline.start", "ds2ray.commandline.composing", "matplotlib.backends.backend_svg")
"""What the beginning and the end of a job import; its pages have plots."""


class WarmJob(subprocess.Popen[Any]):
    """A job that the server has forked, to be used like any other process that was started here.

    Args:
        argv: Python, a job's file and its arguments.
        terminal: descriptor of the terminal that controls the process; None: as a child of this process has it.
    """

    def __init__(self, argv: Sequence[str], *, terminal: int | None = None, **options: Any) -> None:
        self._terminal = terminal
        self._status = -1  # descriptor from which the exit status is read, once
        super().__init__(argv, **options)

    def _execute_child(self, args: Any, *others: Any) -> None:
        """As the method of the standard library that it replaces, which forks and executes."""
        # executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags, shell, and the pipes
        cwd, env, pipes = others[4], others[5], others[9:15]
        sys.audit("subprocess.Popen", args[0], args, cwd, env)
        p2cread, _, _, c2pwrite, _, errwrite = pipes
        mine, theirs = os.pipe()
        streams = [own if given < 0 else given for own, given in enumerate((p2cread, c2pwrite, errwrite))]
        request = {
            "argv": [str(word) for word in args[1:]],
            "cwd": str(cwd or Path.cwd()),
            "environment": dict(os.environ if env is None else env),
            "has_terminal": self._terminal is not None,
        }
        with contextlib.ExitStack() as closing:
            closing.callback(os.close, theirs)
            more = [] if self._terminal is None else [self._terminal]
            server = _server()
            socket.send_fds(server, [json.dumps(request).encode()], [*streams, theirs, *more])
            self.pid = int(server.recv(64))
        self._child_created = True
        self._status = mine
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]  # as the replaced method does in the end

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        """As the method of the standard library that it replaces, which calls waitpid."""
        if wait_flags & os.WNOHANG and not select.select([self._status], [], [], 0)[0]:
            return 0, 0
        status = os.read(self._status, 64)
        os.close(self._status)
        assert status, "the server of jobs has died"
        return self.pid, int(status)

    def _internal_poll(self, *others: Any, **options: Any) -> int | None:
        """As the method of the standard library that it replaces, which calls waitpid."""
        if self.returncode is None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid:
                self._handle_exitstatus(status)  # type: ignore[attr-defined]
        return self.returncode


@functools.cache
def _server() -> socket.socket:
    """The connection with this process's server, which ends with this process."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    root = Path(__file__).resolve().parents[2]
    with theirs:
        process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=root,
            start_new_session=True,
            # Ray reads how it is to authenticate once, when it is imported: by token, as clusters of jobs and tests ask
            env={**os.environ, "PYTHONPATH": str(root), "RAY_AUTH_MODE": "token"},
        )
    atexit.register(_end, mine, process)
    return mine


def _end(connection: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    connection.close()
    process.wait()


def serve(channel: socket.socket) -> list[str] | None:
    """Fork a process for each request. Returns its arguments in the forked process; None in the server, at the end."""
    ended, ends = os.pipe()
    for descriptor in (ended, ends):
        os.set_blocking(descriptor, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(ends)
    watchers: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([channel.fileno(), ended], [], [])
        if ended in ready:
            os.read(ended, 4096)
            _tell_of_ended(watchers)
        if channel.fileno() not in ready:
            continue
        data, descriptors, _, _ = socket.recv_fds(channel, LONGEST_REQUEST, 5)
        if not data:
            return None
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            for descriptor in (ended, ends, *watchers.values()):
                os.close(descriptor)
            channel.close()
            return become(json.loads(data), descriptors)
        watchers[pid] = descriptors.pop(3)
        for descriptor in descriptors:
            os.close(descriptor)
        channel.send(str(pid).encode())


def _tell_of_ended(watchers: dict[int, int]) -> None:
    while watchers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        descriptor = watchers.pop(pid)
        with contextlib.suppress(BrokenPipeError):
            os.write(descriptor, str(status).encode())
        os.close(descriptor)


def become(request: Mapping[str, Any], descriptors: Sequence[int]) -> list[str]:
    """Make this process what a fresh one would be; returns the job's file and arguments."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["has_terminal"]:
        os.setsid()
        fcntl.ioctl(descriptors[4], termios.TIOCSCTTY, 0)
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        errors = "backslashreplace" if name == "stderr" else "strict"
        whole_lines = name == "stderr" or os.isatty(number)
        stream = open(number, "w" if number else "r", encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
        stream.reconfigure(line_buffering=whole_lines)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    return list(request["argv"])


def main() -> None:
    for name in (*IMPORTED, *COMPOSING_AND_DRAWING):
        importlib.import_module(name)
    gc.freeze()
    argv = serve(socket.socket(fileno=int(sys.argv[1])))
    if argv is not None:
        sys.argv = argv
        sys.path[0] = str(Path(argv[0]).parent)
        runpy.run_path(argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
