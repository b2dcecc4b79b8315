"""jobs/submit.py: run a command on a cluster, once for a name and a date, and end with its exit code.

Ray is imported when the cluster is asked, so that mistakes are answered at once.
"""

import time
from typing import TYPE_CHECKING

from ds2ray import display
from ds2ray.commands.submitting.command import Command, exit_code_of_stopped
from ds2ray.config import SubmitJob
from ds2ray.errors import ConfigError
from ds2ray.following import CAN_PASS, Look, attempt_name, follow, last_attempt
from ds2ray.naming import typed

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

    from ds2ray.cluster.submitting.jobs import Jobs, SubmittedJob

COMMAND_KEY = "ds2ray_command"
"""Where a job's metadata has the command as it was typed."""


def run(job: SubmitJob) -> int:
    """Submit the command, or attach to its job, and follow it; or stop a job. Returns the job's exit code.

    0, too, where `follow` is off and the job is submitted or runs already.

    Raises:
        ConfigError: no command, no cluster, or another command has this name today.
        InterruptedRunError: the cluster no longer answers.
        KeyboardInterrupt: nobody follows any longer; the job goes on.
    """
    if bool(job.stop) == bool(job.command):
        shown = f"{typed('submit')} -- python jobs/adapt_users.py users.csv"
        raise ConfigError(f"a command behind `--` is wanted, `{shown}`, or stop=SUBMISSION_ID, and not both")
    from ds2ray.cluster.submitting.jobs import Jobs  # imports Ray

    display.doing("connecting to the cluster")
    jobs = Jobs(job.address)
    if job.stop:
        return _stop(jobs, job.stop)
    command = Command(tuple(job.command))
    submission_id, running = _submitted(job, jobs, command)
    if isinstance(running, Look):
        display.say(
            f"job {submission_id} has ended already, with exit code {running.exit_code} ({running.state}): nothing is "
            f"submitted; to run it once more give it another name, name={command.name}-again"
        )
        return running.exit_code or 0
    if not job.follow:
        display.say(f"follow it by the same command, and stop it by `{_stopping(submission_id)}`")
        return 0
    return _followed(job, jobs, submission_id)


def _submitted(job: SubmitJob, jobs: "Jobs", command: Command) -> "tuple[str, Look | None]":
    """The submission id of the job that runs, submitted now where none does; the last look at one that has ended."""
    from ds2ray.cluster.submitting.jobs import told_command

    name = f"{job.name or command.name}-{job.date or time.strftime('%Y%m%d')}"
    number, last = last_attempt(jobs.find, name)
    submission_id = attempt_name(name, number)
    if last is not None:
        _require_same(submission_id, told_command(last, COMMAND_KEY), command)
        ended = _ended(jobs, submission_id, last)
        if ended is None:
            display.say(f"job {submission_id} runs already: attached to it")
            return submission_id, None
        if ended.exit_code not in CAN_PASS:
            return submission_id, ended
        display.say(f"job {submission_id} has ended with exit code {ended.exit_code}: it is run again")
    submission_id = attempt_name(name, number + 1)
    entrypoint = command.with_run_id(f"{submission_id}-{time.strftime('%H%M%S')}").text
    display.doing("submitting", submission_id)
    new = jobs.submit(
        submission_id,
        entrypoint,
        working_dir=job.working_dir,
        stop_wait_s=job.stop_wait_s,
        metadata={COMMAND_KEY: command.text},
    )
    display.say(f"submitted job {submission_id}" if new else f"job {submission_id} runs already: attached to it")
    return submission_id, None


def _require_same(submission_id: str, theirs: str, command: Command) -> None:
    """Raise ConfigError where a job of this name runs, or ran, another command."""
    if theirs != command.text:
        what = f"another command, `{theirs:.300}`" if theirs else "a command that was submitted in another way"
        raise ConfigError(f"job {submission_id} of this cluster is {what}; give this one another name=…")


def _ended(jobs: "Jobs", submission_id: str, found: "JobDetails") -> Look | None:
    """The last look at a job that has ended, None where it goes on."""
    look = _followable(jobs, submission_id, Command.of(found.entrypoint or "")).look()
    return look if look.exit_code is not None else None


def _followable(jobs: "Jobs", submission_id: str, command: Command, until_s: float = float("inf")) -> "SubmittedJob":
    from ds2ray.cluster.submitting.jobs import SubmittedJob

    def exit_code() -> int | None:
        code, why = exit_code_of_stopped(command)
        if why:
            display.say(f"job {submission_id} was stopped, and {why}")
        return code

    return SubmittedJob(jobs, submission_id, exit_code, until_s)


def _followed(job: SubmitJob, jobs: "Jobs", submission_id: str) -> int:
    """Follow a job to its end, or to the time at which it is stopped; returns its exit code."""
    found = jobs.find(submission_id)
    command = Command.of((found.entrypoint or "") if found else "")
    until_s = time.monotonic() + job.timeout_s if job.timeout_s else float("inf")
    followed = _followable(jobs, submission_id, command, until_s)
    try:
        return follow(followed, lambda: _pause(until_s))
    except _TimeoutError:
        display.say(f"job {submission_id} has not ended after {job.timeout_s:g} s: it is stopped")
    except KeyboardInterrupt:
        if not display.ask(f"stop job {submission_id}, too? What is finished is kept."):
            display.say(
                f"job {submission_id} goes on without being followed; the same command follows it again, and "
                f"`{_stopping(submission_id)}` stops it"
            )
            raise
    followed.until_s = float("inf")
    return _stopped(jobs, followed)


def _stopped(jobs: "Jobs", followed: "SubmittedJob") -> int:
    """Stop a job and follow it to its end; returns its exit code."""
    jobs.stop(followed.submission_id)
    try:
        return follow(followed, _pause)
    except KeyboardInterrupt:
        display.say(f"{followed.name} was asked to stop, and comes to its end without being followed")
        raise


class _TimeoutError(Exception):
    """A job has not ended in time."""


def _pause(until_s: float = float("inf")) -> None:
    """Wait for the next look. Raises _TimeoutError where that is too late."""
    from ds2ray.cluster.submitting.jobs import POLL_S

    if time.monotonic() >= until_s:
        raise _TimeoutError
    time.sleep(POLL_S)


def _stop(jobs: "Jobs", submission_id: str) -> int:
    """Stop a job and wait for its end; returns 0 once it has ended.

    Raises:
        ConfigError: the cluster has no such job.
        InterruptedRunError: the cluster no longer answers.
    """
    found = jobs.find(submission_id)
    if found is None:
        raise ConfigError(f"stop={submission_id}: the cluster has no such job; `ray job list` shows what it has")
    _stopped(jobs, _followable(jobs, submission_id, Command.of(found.entrypoint or "")))
    return 0


def _stopping(submission_id: str) -> str:
    return f"{typed('submit')} stop={submission_id}"
