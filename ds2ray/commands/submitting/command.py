"""The command of a submitted job: its name, its run in a store, and the exit code in that run's summary."""

import os
import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath

from ds2ray.config import StorageConfig, from_plain
from ds2ray.errors import Ds2RayError
from ds2ray.store import Store
from ds2ray.store.layout import summary_uri
from ds2ray.store.records import SUMMARY, read_record

_FLEET_RUN = "adapt-users"
"""The job whose runs have a summary in the store."""


@dataclass(frozen=True)
class Command:
    """A command as its words."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, entrypoint: str) -> "Command":
        """The command of Ray's record of a job; without words where it is none that this release has written."""
        try:
            return cls(tuple(shlex.split(entrypoint)))
        except ValueError:
            return cls(())

    @property
    def text(self) -> str:
        """As a shell reads it."""
        return shlex.join(self.words)

    @property
    def name(self) -> str:
        """The name of its job: `adapt-users` of `python jobs/adapt_users.py users.csv`, and of `ds2ray adapt-users`."""
        words = [PurePosixPath(word) for word in self.words]
        for word, after in zip(words, (*self.words[1:], ""), strict=False):
            if word.suffix == ".py":
                return word.stem.replace("_", "-")
            if word.name == "ds2ray" and after:
                return after.replace("_", "-")
        return words[0].name if words else ""

    def setting(self, key: str) -> str:
        """The value of the last argument `key=value`; empty where there is none."""
        values = [word.removeprefix(f"{key}=") for word in self.words if word.startswith(f"{key}=")]
        return values[-1].strip("'\"") if values else ""

    def with_run_id(self, run_id: str) -> "Command":
        """The command with this name for its run, by which its summary is found, where it gives none."""
        if self.name != _FLEET_RUN or self.setting("run_id"):
            return self
        return Command((*self.words, f"run_id={run_id}"))

    def exit_code_in_store(self) -> int | None:
        """The exit code in the summary of its run. None where it has no run, or has written no summary.

        Raises:
            Ds2RayError: the store cannot be read from here.
        """
        run_id = self.setting("run_id")
        if self.name != _FLEET_RUN or not run_id:
            return None
        store = Store.of(_storage_of(self))
        try:
            summary = read_record(store, dict, summary_uri(store, run_id), kind=SUMMARY, bound={"run_id": run_id})
        except FileNotFoundError:
            return None
        code = summary.get("exit_code")
        return code if isinstance(code, int) else None


def _storage_of(command: Command) -> StorageConfig:
    """The store that a command names, as far as its address goes."""
    given = {name: command.setting(f"storage.{name}") for name in ("root", "endpoint_url", "profile")}
    given["root"] = given["root"] or os.environ.get("DS2RAY_STORAGE_ROOT", "")
    return from_plain(StorageConfig, {name: value for name, value in given.items() if value})


def exit_code_of_stopped(command: Command) -> tuple[int | None, str]:
    """The exit code of a stopped job as its run's summary has it, and why there is none."""
    try:
        code = command.exit_code_in_store()
    except Ds2RayError as error:
        return None, f"its store cannot be read from here: {error}"
    return code, "" if code is not None else "no run of it has left a summary"
