"""The course of a job that runs on a cluster: its attempts by name, its states and log, and its exit code."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ds2ray import display
from ds2ray.errors import InterruptedRunError, StorageError

T = TypeVar("T")

CAN_PASS = {StorageError.exit_code, InterruptedRunError.exit_code}
"""Exit codes after which running again helps: storage, and interruptions."""

_EXIT_CODE = re.compile(r"exit code (-?\d+)")


@dataclass(frozen=True)
class Look:
    """A job at one look.

    Attributes:
        state: in a few words.
        exit_code: None while it goes on.
    """

    state: str
    exit_code: int | None = None


class Followed(Protocol):
    """A job that can be followed."""

    name: str

    def look(self) -> Look:
        """The job as it is now."""

    def lines(self) -> Iterable[str]:
        """The lines of its log that no earlier call gave."""


def follow(job: Followed, wait: Callable[[], None]) -> int:
    """Show state and log of a job until it has ended; returns its exit code.

    Args:
        wait: called between two looks.
    """
    shown = ""
    while True:
        look = job.look()
        for line in job.lines():  # after the look: the log of a job that has ended is whole
            display.say(line)
        if look.state != shown:
            display.say(f"{job.name}: {look.state}")
            shown = look.state
        if look.exit_code is not None:
            display.say(f"{job.name} has ended with exit code {look.exit_code}")
            return look.exit_code
        wait()


def attempt_name(name: str, number: int) -> str:
    """The name of an attempt, counted from 1."""
    return f"{name}-{number}"


def last_attempt(find: Callable[[str], T | None], name: str) -> tuple[int, T | None]:
    """The last attempt that is there and its number; 0 and None before the first.

    Args:
        find: an attempt by its name, None where there is none.
    """
    number, last = 0, None
    while (found := find(attempt_name(name, number + 1))) is not None:
        number, last = number + 1, found
    return number, last


def exit_code_in(message: str) -> int | None:
    """The exit code that a message of Ray's on a failed job names, None where it names none."""
    told = _EXIT_CODE.search(message)
    return int(told[1]) if told else None


def of_a_job(code: int | None) -> int:
    """An exit code that this process can end with: a job that was killed, or of whose end nobody knows, was
    interrupted."""
    return code if code is not None and code >= 0 else InterruptedRunError.exit_code
