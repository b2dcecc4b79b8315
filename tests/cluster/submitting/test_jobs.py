"""A followed job whose log's stream breaks off; tests/cluster/test_submit.py has a real cluster."""

import asyncio
import math
import signal
from collections.abc import AsyncIterator, Iterator
from types import FrameType
from typing import Any, NoReturn

import pytest
from ray.job_submission import JobDetails, JobStatus, JobType

from ds2ray.cluster.submitting.jobs import ATTACHED_AT_THE_END, Jobs, SubmittedJob
from ds2ray.following import follow

LOG = "one\ntwo\nthree\nfour"


def details(status: JobStatus, **more: Any) -> JobDetails:
    return JobDetails(type=JobType.SUBMISSION, submission_id="night-1", status=status, entrypoint="x", **more)


class Course:
    """A cluster's answers: a record with every look, and every stream of the log up to where it breaks off."""

    def __init__(self, records: list[JobDetails | Exception], streams: list[tuple[str, Exception | None]]) -> None:
        self.records, self.streams = records, streams
        self.refusals: list[Exception | None] = []  # the answers to requests to stop

    def get_job_info(self, submission_id: str) -> JobDetails:
        found = self.records.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def tail_job_logs(self, submission_id: str) -> AsyncIterator[str]:
        text, error = self.streams.pop(0)
        for place in range(0, len(text), 3):
            yield text[place : place + 3]
        if isinstance(error, TimeoutError):
            await asyncio.sleep(3600)
        if isinstance(error, InterruptedError):  # as by Ctrl-C, while the next line is waited for
            asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
            await asyncio.sleep(3600)
        if error is not None:
            raise error

    def stop_job(self, submission_id: str) -> bool:
        refusal = self.refusals.pop(0)
        if refusal is not None:
            raise refusal
        return True


def jobs_of(course: Course) -> Jobs:
    jobs = Jobs.__new__(Jobs)
    vars(jobs).update(client=course, outage_s=1000.0, pause_s=0.0)
    return jobs


def followed(course: Course, stopped: int | None = None) -> SubmittedJob:
    return SubmittedJob(jobs_of(course), "night-1", lambda: stopped, math.inf, silence_s=0.05)


def test_every_line_is_shown_once_however_often_the_stream_breaks_off(capsys: Any) -> None:
    running, ended = details(JobStatus.RUNNING), details(JobStatus.FAILED, driver_exit_code=3)
    streams = [(LOG[:6], RuntimeError("closed")), (LOG[:9], TimeoutError()), ("", OSError("gone")), (LOG, None)]
    course = Course([running, running, OSError("no way"), running, ended], streams)
    waits: list[None] = []
    assert follow(followed(course), lambda: waits.append(None)) == 3
    told = [line for line in capsys.readouterr().out.splitlines() if "waiting for the cluster" not in line]
    told = [line for line in told if not line.startswith("job night-1")]
    assert told == ["one", "two", "three", "four"]
    assert len(waits) == 3


def test_the_last_lines_of_a_job_that_has_ended_are_asked_for_until_they_come(capsys: Any) -> None:
    ended = details(JobStatus.FAILED, driver_exit_code=3)
    streams = [("", TimeoutError()), (LOG[:6], RuntimeError("closed")), (LOG, None)]
    assert follow(followed(Course([ended], streams)), lambda: None) == 3
    told = capsys.readouterr().out.splitlines()
    assert told[:4] == ["one", "two", "three", "four"]
    for_ever = Course([ended], [(LOG[:6], OSError("gone"))] * 10)
    assert follow(followed(for_ever), lambda: None) == 3  # a log that never comes whole holds nobody up
    assert len(for_ever.streams) == 10 - ATTACHED_AT_THE_END


def test_exit_codes() -> None:
    for record, stopped, code in (
        (details(JobStatus.SUCCEEDED, driver_exit_code=0), None, 0),
        (details(JobStatus.FAILED, message="Job entrypoint command failed with exit code 5, last …"), None, 5),
        (details(JobStatus.FAILED, driver_exit_code=-9), None, 75),
        (details(JobStatus.FAILED, message="the node was lost"), None, 75),
        (details(JobStatus.STOPPED), 3, 3),
        (details(JobStatus.STOPPED), None, 75),
    ):
        assert followed(Course([record], []), stopped).look().exit_code == code


def test_a_job_that_waits_has_no_code() -> None:
    look = followed(Course([details(JobStatus.PENDING)], [])).look()
    assert (look.state, look.exit_code) == ("pending", None)


@pytest.fixture
def interrupt_of_jobs() -> Iterator[None]:
    """Ctrl-C as jobs have it: a handler that raises wherever the process is."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupt_of_jobs")
def test_ctrl_c_while_the_log_is_silent_ends_the_following_and_nothing_else() -> None:
    one = followed(Course([], [(LOG, InterruptedError()), (LOG, None)]))
    lines = iter(one.lines())
    assert [next(lines) for _ in range(3)] == ["one", "two", "three"]
    with pytest.raises(KeyboardInterrupt):
        next(lines)
    one.has_ended = True
    assert list(one.lines()) == ["four"]


def test_a_request_to_stop_that_fails_is_sent_again() -> None:
    running = details(JobStatus.RUNNING)
    course = Course([running, running], [])
    refusal = RuntimeError("Request failed with status code 500: no agent is there")
    course.refusals = [refusal, OSError("gone"), refusal, None]
    jobs_of(course).stop("night-1")
    assert (course.refusals, course.records) == ([], [])


@pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.STOPPED, None])
def test_a_job_that_has_ended_or_is_gone_need_not_be_stopped(status: JobStatus | None) -> None:
    gone = RuntimeError("Request failed with status code 404: no such job")
    course = Course([gone if status is None else details(status)], [])
    course.refusals = [RuntimeError("Request failed with status code 500: it has ended")]
    jobs_of(course).stop("night-1")
    assert (course.refusals, course.records) == ([], [])
