"""What a person types to start a job: messages and pages that advise a command name it as it was started here."""

from pathlib import Path

_scripts = (Path(__file__).resolve().parents[1] / "jobs").is_dir()
"""Whether scripts of a checkout are named, and not the installed command."""


def started_as(command: str) -> None:
    """Name jobs from now on as this command is one: `ds2ray train`, or `jobs/train.py`."""
    global _scripts
    _scripts = command.endswith(".py")


def typed(job_name: str, python: str = "python") -> str:
    """`ds2ray adapt-users`, or `python jobs/adapt_users.py` where jobs are started as scripts.

    Args:
        python: the interpreter that such a script is started with.
    """
    return f"{python} jobs/{job_name}.py" if _scripts else f"ds2ray {job_name.replace('_', '-')}"


def named(job_name: str) -> str:
    """The same in a sentence: without the interpreter."""
    return typed(job_name, "").strip()
