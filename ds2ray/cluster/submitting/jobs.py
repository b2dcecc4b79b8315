"""The jobs of a cluster as Ray keeps record of them, reached through its dashboard."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

import aiohttp
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from ds2ray import display
from ds2ray.cluster.address import one_line
from ds2ray.errors import ConfigError, InterruptedRunError
from ds2ray.following import Look, exit_code_in, of_a_job
from ds2ray.naming import typed

T = TypeVar("T")

POLL_S = 1.0

ATTACHED_AT_THE_END = 5
"""Times that the log of a job that has ended is asked for, at most, where its stream breaks off."""

SILENCE_S = 20.0
"""Seconds without a line after which it is looked how the job is, and its log is attached again."""

OUTAGE_S = 600.0
"""Seconds without an answer of the dashboard after which nobody waits any longer."""

_STOP_WAIT = "RAY_JOB_STOP_WAIT_TIME_S"
_SERVERS_OWN = "status code 5"
"""How Ray tells an error of the cluster's own, which may pass."""

_SHOWN_CHARACTERS = 300


class Jobs:
    """The jobs of a cluster.

    Args:
        address: of the dashboard; empty: RAY_ADDRESS, else that of this machine's cluster.
        outage_s: seconds for which the dashboard may not answer, once it has.
        pause_s: between two requests that are not answered.

    Raises:
        ConfigError: no dashboard answers there, or it refuses this process.
    """

    def __init__(self, address: str, outage_s: float = OUTAGE_S, pause_s: float = POLL_S) -> None:
        self.outage_s, self.pause_s = outage_s, pause_s
        try:
            self.client = JobSubmissionClient(address or None)
        except AuthenticationError as error:
            raise _refused(error) from error
        except (OSError, RuntimeError, ValueError) as error:
            where = address or "RAY_ADDRESS, or at 127.0.0.1:8265 where it is not set"
            raise ConfigError(
                f"no dashboard of a Ray cluster answers at {where} ({_short(error)}); give its address, "
                "address=http://HEAD:8265, or reach it by `kubectl port-forward`"
            ) from error

    def find(self, submission_id: str) -> JobDetails | None:
        """Ray's record of a job, None where it has none. Raises InterruptedRunError after too long an outage."""

        def ask() -> JobDetails | None:
            try:
                return self.client.get_job_info(submission_id)
            except RuntimeError as error:
                if "status code 404" in str(error):
                    return None
                raise

        return self._answered(ask)

    def submit(
        self, submission_id: str, entrypoint: str, *, working_dir: str, stop_wait_s: float, metadata: dict[str, str]
    ) -> bool:
        """Submit a job; returns False where another process has submitted one by this id just before.

        Raises ConfigError where Ray does not take it.
        """
        environment: dict[str, object] = {"env_vars": {_STOP_WAIT: f"{stop_wait_s:.0f}"}}
        if working_dir:
            environment["working_dir"] = working_dir
        return self._answered(lambda: self._submit(submission_id, entrypoint, environment, metadata))

    def _submit(
        self, submission_id: str, entrypoint: str, environment: dict[str, object], metadata: dict[str, str]
    ) -> bool:
        try:
            self.client.submit_job(
                entrypoint=entrypoint, submission_id=submission_id, runtime_env=environment, metadata=metadata
            )
        except (RuntimeError, ValueError) as error:
            if isinstance(error, AuthenticationError):
                raise
            if self.find(submission_id) is not None:  # also where the answer to our own request was lost
                return False
            if _SERVERS_OWN in str(error):  # a cluster that has just started has no agent yet
                raise
            raise ConfigError(f"the cluster does not take the job {submission_id}: {_short(error)}") from error
        return True

    def stop(self, submission_id: str) -> None:
        """Ask a job to stop, if it has not ended. Raises InterruptedRunError after too long an outage."""

        def ask() -> None:
            try:
                self.client.stop_job(submission_id)
            except RuntimeError:
                found = self.find(submission_id)
                if found is not None and not found.status.is_terminal():
                    raise  # it was not asked: once more

        self._answered(ask)

    def _answered(self, ask: Callable[[], T]) -> T:
        """What a request gives, sent again while the dashboard does not answer."""
        since_s = time.monotonic()
        while True:
            try:
                return ask()
            except AuthenticationError as error:
                raise _refused(error) from error
            except (OSError, RuntimeError) as error:  # requests' own errors are of the former
                out_s = time.monotonic() - since_s
                if out_s > self.outage_s:
                    raise InterruptedRunError(
                        f"the cluster's dashboard has not answered for {out_s:.0f} s ({_short(error)}); the job may "
                        "go on: the same command attaches to it again"
                    ) from error
                display.doing("waiting for the cluster", f"no answer for {out_s:.0f} s", _short(error))
                time.sleep(self.pause_s)


class SubmittedJob:
    """A job of a cluster that is followed.

    Args:
        exit_code_of_stopped: the exit code of a stopped job, of which Ray has none; None where nobody knows it.
        until_s: time, by `time.monotonic`, up to which `lines` waits for news.
        silence_s: seconds without a line after which `lines` ends.
    """

    def __init__(
        self,
        jobs: Jobs,
        submission_id: str,
        exit_code_of_stopped: Callable[[], int | None],
        until_s: float,
        silence_s: float = SILENCE_S,
    ) -> None:
        self.jobs, self.submission_id, self.name = jobs, submission_id, f"job {submission_id}"
        self.exit_code_of_stopped = exit_code_of_stopped
        self.until_s, self.silence_s = until_s, silence_s
        self.seen = 0  # characters of the log
        self.rest = ""  # of a line that has not come to its end
        self.has_ended = False
        self.is_whole = False  # the log, up to where the last stream has ended by itself

    def look(self) -> Look:
        found = self.jobs.find(self.submission_id)
        if found is None:
            raise InterruptedRunError(
                f"{self.name} was deleted while it was followed, or its cluster is new; run again"
            )
        self.has_ended = found.status.is_terminal()
        return Look(state_of(found), self._exit_code(found) if self.has_ended else None)

    def _exit_code(self, found: JobDetails) -> int:
        if found.status is JobStatus.SUCCEEDED:
            return 0
        if found.status is JobStatus.STOPPED:
            return of_a_job(self.exit_code_of_stopped())
        code = found.driver_exit_code
        return of_a_job((exit_code_in(found.message or "") if code is None else code) or None)

    def lines(self) -> Iterator[str]:
        """The lines of the log that are new, as they come, until the stream ends, is silent or `until_s` has passed.

        That of a job that has ended ends, too; where it is dropped or silent before, it is attached again, so that the
        last lines, which tell why a job has failed, are not lost to a busy cluster.
        """
        for _ in range(ATTACHED_AT_THE_END if self.has_ended else 1):
            self.is_whole = False
            with asyncio.Runner() as runner:  # whose end also ends a stream that is waited for, as by Ctrl-C
                chunks = self._chunks()
                while (chunk := runner.run(self._next(chunks))) is not None:
                    *whole, self.rest = (self.rest + chunk).split("\n")
                    yield from whole
            if self.is_whole:
                break
        if self.has_ended and self.rest:
            yield self.rest
            self.rest = ""

    async def _next(self, chunks: AsyncIterator[str]) -> str | None:
        """The next piece of the log; None where the stream has ended, was dropped, or is silent."""
        wait_s = self.silence_s if self.has_ended else min(self.silence_s, self.until_s - time.monotonic())
        try:
            return await asyncio.wait_for(anext(chunks), max(0.1, wait_s))
        except StopAsyncIteration:
            self.is_whole = True
            return None
        except (TimeoutError, RuntimeError, OSError, aiohttp.ClientError):
            return None  # it is attached again after the next look

    async def _chunks(self) -> AsyncIterator[str]:
        """The pieces of the log that are new. A stream begins with the log's first line each time."""
        passed = 0
        async for chunk in self.jobs.client.tail_job_logs(self.submission_id):
            new = chunk[max(0, self.seen - passed) :]
            passed += len(chunk)
            self.seen = max(self.seen, passed)
            if new:
                yield new


def state_of(found: JobDetails) -> str:
    """A job's state in a few words: `running`, `failed`."""
    return found.status.value.lower()


def told_command(found: JobDetails, key: str) -> str:
    """A text that was given to `submit` as metadata; empty where there is none."""
    return str((found.metadata or {}).get(key, ""))


def _refused(error: Exception) -> ConfigError:
    return ConfigError(
        f"the cluster asks for its token ({_short(error)}); set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN, or "
        f"RAY_AUTH_TOKEN_PATH, for {typed('submit')}"
    )


def _short(error: Exception) -> str:
    return one_line(error)[:_SHOWN_CHARACTERS]
