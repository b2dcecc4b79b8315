"""A night's run as a CronJob's pod: create a RayJob from the template, show its log, and end with its exit code.

    python -m ds2ray.kubernetes.nightly --template=ds2ray-adapt-users

The names of its RayJobs come from the Job's, so that a pod that takes another's place goes on with the RayJob that is
there: nothing is started twice. A RayJob that ended for a cause that can pass is followed by another one.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ds2ray import display
from ds2ray.errors import ConfigError, Ds2RayError, InterruptedRunError
from ds2ray.kubernetes.api import KubernetesApi

POLL_S = 10.0

_ENDED = {"Complete", "Failed", "ValidationFailed"}
_CAN_PASS = {5, InterruptedRunError.exit_code}
"""Exit codes after which running again helps: storage, and interruptions."""

_EXIT_CODE = re.compile(r"exit code (-?\d+)")


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
        return f"{self.job_name}-{number}"


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
    number, last = _last_ray_job(api, night)
    if last is None or (_has_ended(last) and exit_code(last) in _CAN_PASS):
        number += 1
        template = api.ray_job(night.template)
        if template is None:
            raise ConfigError(f"there is no RayJob {night.template}, the template of a night; apply k8s/ again")
        api.create_ray_job(ray_job_of(template, night, number))
        display.say(f"created RayJob {night.ray_job_name(number)}")
    else:
        display.say(f"going on with RayJob {night.ray_job_name(number)}, which is there already")
    return _watch(api, night.ray_job_name(number), wait)


def _last_ray_job(api: KubernetesApi, night: Night) -> tuple[int, dict[str, Any] | None]:
    """The newest RayJob of the night and its number, counted from 1; 0 and None before the first."""
    number, last = 0, None
    while (found := api.ray_job(night.ray_job_name(number + 1))) is not None:
        number, last = number + 1, found
    return number, last


def ray_job_of(template: dict[str, Any], night: Night, number: int) -> dict[str, Any]:
    """A RayJob of the night, like the template but at work; Kubernetes deletes it together with the night's Job."""
    labels = dict(template["metadata"].get("labels", {}))
    if night.queue:
        labels["kueue.x-k8s.io/queue-name"] = night.queue
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": night.job_name, "uid": night.job_uid}
    metadata = {"name": night.ray_job_name(number), "labels": labels, "ownerReferences": [owner]}
    spec = {**template["spec"], "suspend": bool(night.queue)}  # Kueue wakes what waits in its queue
    return {"apiVersion": template["apiVersion"], "kind": "RayJob", "metadata": metadata, "spec": spec}


def _watch(api: KubernetesApi, name: str, wait: Callable[[], None]) -> int:
    """Show state and log of a RayJob until it has ended; returns its exit code."""
    shown_state, shown_until = "", ""
    while True:
        ray_job = api.ray_job(name)
        if ray_job is None:
            raise InterruptedRunError(f"RayJob {name} was deleted while it was watched; run again")
        for pod in api.pods_of_job(name):
            for time_of_line, line in api.log_lines(pod, after=shown_until):
                display.say(line)
                shown_until = time_of_line
        if (state := _state(ray_job)) != shown_state:
            display.say(f"RayJob {name}: {state}")
            shown_state = state
        if _has_ended(ray_job):
            code = exit_code(ray_job)
            display.say(f"RayJob {name} has ended with exit code {code}")
            return code
        wait()


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
    told = _EXIT_CODE.search(status.get("message") or "") if status.get("jobStatus") == "FAILED" else None
    code = int(told[1]) if told else InterruptedRunError.exit_code
    return code if code > 0 else InterruptedRunError.exit_code


if __name__ == "__main__":
    sys.exit(main())
