"""The start of a job: every error becomes one message and an exit code, and a signal unwinds the work."""

import logging
import os
import select
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from omegaconf import OmegaConf

from ds2ray import display
from ds2ray.commandline.arguments import parted
from ds2ray.commandline.composing import composed, to_dataclass
from ds2ray.commandline.help import job_page
from ds2ray.commandline.jobs import JOBS
from ds2ray.commandline.surroundings import exhausted, look_around
from ds2ray.display.streams import make_whole, send_nowhere, terminals
from ds2ray.errors import Ds2RayError, InterruptedRunError
from ds2ray.naming import started_as


def run_job(
    job_name: str, argv: list[str] | None = None, *, command: str, work: Callable[[Any], int] | None = None
) -> NoReturn:
    """Compose the settings, do the job with them and exit with its code, or with that of the error it raised.

    Args:
        job_name: one of `JOBS`.
        argv: arguments without the program's name; by default those of this process.
        command: the command as it was typed, `jobs/train.py` or `ds2ray train`: messages begin with it.
        work: function that takes the settings in place of the job's own.
    """
    arguments = sys.argv[1:] if argv is None else argv
    started_as(command)
    sys.exit(guarded(command, lambda: _run(job_name, work or JOBS[job_name].run, arguments)))


def guarded(command: str, work: Callable[[], int]) -> int:
    """The exit code of `work`, or that of the error, the signal or the closed pipe that ended it."""
    make_whole()
    interrupt = _interrupt_of(terminals())
    previous = {number: signal.signal(number, interrupt) for number in _interrupting()}
    try:
        try:
            look_around()
            code = work()
            sys.stdout.flush()
        except Ds2RayError as error:
            code = error.exit_code
            display.complain(f"{command}: {error}")
        except OSError as error:
            told = exhausted(error)
            if told is None:
                raise
            code = told.exit_code
            display.complain(f"{command}: {told}")
        except KeyboardInterrupt:
            code = InterruptedRunError.exit_code
            display.complain(f"{command}: interrupted; run it again to do what is unfinished")
    except BrokenPipeError:
        if not _output_is_closed():
            raise
        code = 128 + signal.SIGPIPE
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return code


def _interrupting() -> list[signal.Signals]:
    """The signals that interrupt a job, except those that it was started to ignore (`nohup`, a shell's `&`)."""
    wanted = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    return [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]


def _interrupt_of(open_terminals: list[int]) -> Callable[[int, FrameType | None], NoReturn]:
    """A signal handler that unwinds the job by KeyboardInterrupt.

    Args:
        open_terminals: descriptors on a terminal, from which output is taken away when the terminal is gone.
    """

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        if number == signal.SIGHUP:  # the terminal is gone
            send_nowhere(open_terminals)
        display.stopping()
        raise KeyboardInterrupt

    return interrupt


def _run(job_name: str, work: Callable[[Any], int], argv: list[str]) -> int:
    own, _ = parted(JOBS[job_name], argv)
    if {"--help", "-h"} & set(own):
        display.page(job_page(job_name))
        return 0
    config = composed(job_name, argv)
    job = to_dataclass(job_name, config)
    if "--cfg" in own:
        display.page(OmegaConf.to_yaml(config, resolve=True).rstrip("\n"))
        return 0
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=[_AboveDisplay()])
    logging.getLogger("ds2ray").setLevel(logging.INFO)
    with display.opened():
        display.doing("loading")  # torch and Ray take seconds
        return work(job)


class _AboveDisplay(logging.Handler):
    """Writes log records to `sys.stderr` as it is at the time: a live display replaces it and prints them above."""

    def emit(self, record: logging.LogRecord) -> None:
        display.complain(self.format(record))


def _output_is_closed() -> bool:
    """Whether the reader of stdout has left (`| head`); if so, it points stdout at /dev/null."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True
