"""A night's run as a CronJob's pod: create a RayJob from the template, show its log, and end with its exit code.

    python -m ds2ray.kubernetes.nightly --template=ds2ray-adapt-users

The names of its RayJobs come from the Job's, so that a pod that takes another's place goes on with the RayJob that is
there: nothing is started twice. A RayJob that ended for a cause that can pass is followed by another one.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ds2ray import display
from ds2ray.errors import ConfigError, Ds2RayError, InterruptedRunError
from ds2ray.following import CAN_PASS, Look, attempt_name, exit_code_in, follow, last_attempt, of_a_job
from ds2ray.kubernetes.api import KubernetesApi

POLL_S = 10.0

_ENDED = {"Complete", "Failed", "ValidationFailed"}


@dataclass(frozen=True)
class Night:
    """The Job of a night, which owns its RayJobs.

    Attributes:
        queue: Kueue's local queue, in which its RayJobs wait; empty: none.
    """

    job_name: str
    job_uid: str
    template: str
    queue: str = ""

    def ray_job_name(self, number: int) -> str:
        return attempt_name(self.job_name, number)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--template", required=True, help="name of the suspended RayJob that is the template")
    parser.add_argument("--url", default=KubernetesApi.url, help="the API server (default: %(default)s)")
    parser.add_argument("--poll-s", type=float, default=POLL_S, help="seconds between two looks (default: %(default)s)")
    args = parser.parse_args(argv)
    try:
        night = Night(_required("JOB_NAME"), _required("JOB_UID"), args.template, os.environ.get("KUEUE_QUEUE", ""))
        api = KubernetesApi(_required("NAMESPACE"), args.url)
        return run_night(api, night, lambda: time.sleep(args.poll_s))
    except Ds2RayError as error:
        display.say(f"error: {error}")
        return error.exit_code


def _required(variable: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        raise ConfigError(f"the environment lacks {variable}, which the CronJob in k8s/base/nightly.yaml gives")
    return value


def run_night(api: KubernetesApi, night: Night, wait: Callable[[], None]) -> int:
    """Bring the night's run to its end, and give its exit code.

    Args:
        wait: called between two looks at the RayJob.

    Raises:
        ConfigError: there is no such template, or Kubernetes refuses the RayJob.
        InterruptedRunError: the API server does not answer.
    """
    number, last = last_attempt(api.ray_job, night.job_name)
    if last is None or (_has_ended(last) and exit_code(last) in CAN_PASS):
        number += 1
        template = api.ray_job(night.template)
        if template is None:
            raise ConfigError(f"there is no RayJob {night.template}, the template of a night; apply k8s/ again")
        api.create_ray_job(ray_job_of(template, night, number))
        display.say(f"created RayJob {night.ray_job_name(number)}")
    else:
        display.say(f"going on with RayJob {night.ray_job_name(number)}, which is there already")
    return follow(_RayJob(api, night.ray_job_name(number)), wait)


def ray_job_of(template: dict[str, Any], night: Night, number: int) -> dict[str, Any]:
    """A RayJob of the night, like the template but at work; Kubernetes deletes it together with the night's Job."""
    labels = dict(template["metadata"].get("labels", {}))
    if night.queue:
        labels["kueue.x-k8s.io/queue-name"] = night.queue
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": night.job_name, "uid": night.job_uid}
    metadata = {"name": night.ray_job_name(number), "labels": labels, "ownerReferences": [owner]}
    spec = {**template["spec"], "suspend": bool(night.queue)}  # Kueue wakes what waits in its queue
    return {"apiVersion": template["apiVersion"], "kind": "RayJob", "metadata": metadata, "spec": spec}


class _RayJob:
    """A RayJob that is followed."""

    def __init__(self, api: KubernetesApi, ray_job_name: str) -> None:
        self.api, self.ray_job_name, self.name = api, ray_job_name, f"RayJob {ray_job_name}"
        self.shown_until = ""  # time of the last line of the log

    def look(self) -> Look:
        ray_job = self.api.ray_job(self.ray_job_name)
        if ray_job is None:
            raise InterruptedRunError(f"{self.name} was deleted while it was watched; run again")
        return Look(_state(ray_job), exit_code(ray_job) if _has_ended(ray_job) else None)

    def lines(self) -> Iterator[str]:
        for pod in self.api.pods_of_job(self.ray_job_name):
            for time_of_line, line in self.api.log_lines(pod, after=self.shown_until):
                self.shown_until = time_of_line
                yield line


def _state(ray_job: dict[str, Any]) -> str:
    status = ray_job.get("status") or {}
    parts = [status.get("jobDeploymentStatus"), status.get("jobStatus"), status.get("reason")]
    return " · ".join(filter(None, parts)) or "not begun"


def _has_ended(ray_job: dict[str, Any]) -> bool:
    return (ray_job.get("status") or {}).get("jobDeploymentStatus") in _ENDED


def exit_code(ray_job: dict[str, Any]) -> int:
    """The exit code of an ended RayJob: that of its job where Ray tells it, else that of the cause.

    A job that was stopped or killed, and a cluster that did not come, are interruptions (75); a RayJob that KubeRay
    finds wrong is a wrong setting (2).
    """
    status = ray_job.get("status") or {}
    if status.get("jobStatus") == "SUCCEEDED":
        return 0
    if status.get("jobDeploymentStatus") == "ValidationFailed":
        return ConfigError.exit_code
    told = exit_code_in(status.get("message") or "") if status.get("jobStatus") == "FAILED" else None
    return of_a_job(told or None)


if __name__ == "__main__":
    sys.exit(main())
