"""Names of jobs as a person types them: messages and pages name a job in the way in which this one was started."""

from pathlib import Path

_scripts = (Path(__file__).resolve().parents[1] / "jobs").is_dir()
"""Whether messages name the scripts of a checkout, `jobs/train.py`, or else the installed command, `ds2ray train`."""


_command = "ds2ray"


def started_as(command: str) -> None:
    """Name jobs from now on in the way of this command, `ds2ray train` or `jobs/train.py`."""
    global _scripts, _command
    _scripts, _command = command.endswith(".py"), command


def command() -> str:
    """The command that this process was started as: messages that end it begin with it."""
    return _command


def typed(job_name: str, python: str = "python") -> str:
    """`ds2ray adapt-users`, or `python jobs/adapt_users.py` where jobs are started as scripts.

    Args:
        python: the interpreter that such a script is started with.
    """
    return f"{python} jobs/{job_name}.py" if _scripts else f"ds2ray {job_name.replace('_', '-')}"


def named(job_name: str) -> str:
    """The name of `typed` without the interpreter, for use in a sentence."""
    return typed(job_name, "").strip()
