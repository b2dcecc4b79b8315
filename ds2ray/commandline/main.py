"""The command `ds2ray`: the first argument names the job, and the others are the job's own."""

import difflib
import sys
from importlib.metadata import version
from typing import NoReturn

from ds2ray import display
from ds2ray.commandline.jobs import JOBS
from ds2ray.commandline.start import guarded, run_job
from ds2ray.errors import ConfigError

COMMANDS = {name.replace("_", "-"): name for name in JOBS}
"""Jobs by the words that are typed for them: `adapt-users` → `adapt_users`."""


def main(argv: list[str] | None = None) -> NoReturn:
    """Start the job that the first argument names, as `ds2ray adapt-users users.csv`; exits with its code."""
    arguments = sys.argv[1:] if argv is None else argv
    typed = arguments[0] if arguments else ""
    typed = typed.replace("_", "-") if typed in JOBS else typed
    if typed in COMMANDS:
        run_job(COMMANDS[typed], arguments[1:], command=f"ds2ray {typed}")
    sys.exit(guarded("ds2ray", lambda: _answer(typed)))


def _answer(typed: str) -> int:
    """Print the list of commands or the version; returns the exit code. Raises ConfigError for any other word."""
    if typed in ("--help", "-h"):
        display.page(commands_page())
        return 0
    if typed == "--version":
        display.page(f"ds2ray {version('ds2ray')}")
        return 0
    close = difflib.get_close_matches(typed, COMMANDS, n=1)
    fault = f"unknown command {typed}" if typed else "no command is given"
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise ConfigError(f"{fault}{hint}: one of {', '.join(COMMANDS)} is wanted, and `ds2ray --help` says what each does")


def commands_page() -> str:
    """The list of all commands, each with its summary."""
    width = max(map(len, COMMANDS))
    listed = [f"  {typed:<{width}}  {JOBS[name].summary}" for typed, name in COMMANDS.items()]
    return "\n".join(
        [
            "Personalised speech recognition for fleets of users: one base for all, a small adapter for each.",
            "",
            "usage: ds2ray <command> [arguments]",
            "",
            "Commands",
            *listed,
            "",
            "`ds2ray <command> --help` lists a command's settings and presets. `ds2ray --version` tells the version.",
        ]
    )
