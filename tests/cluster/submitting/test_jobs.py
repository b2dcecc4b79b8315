"""A followed job whose log's stream breaks off; tests/cluster/test_submit.py has a real cluster."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

from ray.job_submission import JobDetails, JobStatus, JobType

from ds2ray.cluster.submitting.jobs import Jobs, SubmittedJob
from ds2ray.following import follow

LOG = "one\ntwo\nthree\nfour"


def details(status: JobStatus, **more: Any) -> JobDetails:
    return JobDetails(type=JobType.SUBMISSION, submission_id="night-1", status=status, entrypoint="x", **more)


class Course:
    """A cluster's answers: a record with every look, and every stream of the log up to where it breaks off."""

    def __init__(self, records: list[JobDetails | Exception], streams: list[tuple[str, Exception | None]]) -> None:
        self.records, self.streams = records, streams

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
        if error is not None:
            raise error


def followed(course: Course, stopped: int | None = None) -> SubmittedJob:
    jobs = Jobs.__new__(Jobs)
    vars(jobs).update(client=course, outage_s=1000.0, pause_s=0.0)
    return SubmittedJob(jobs, "night-1", lambda: stopped, math.inf, silence_s=0.05)


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
