"""The end or failure of a fleet run or of a training, told to whom it concerns: a webhook, a command, Prometheus.

None of these fails a run or holds it up: each has a few seconds, and what goes wrong with it is a line.
"""

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ds2ray import display, storage
from ds2ray.config import AdaptJob, TrainJob
from ds2ray.errors import Ds2RayError, InterruptedRunError
from ds2ray.nights.exposition import exposition, last_good_of
from ds2ray.nights.notice import notice
from ds2ray.store.keys import private
from ds2ray.training.tracking.figures import last_good_training_of, training_exposition

WEBHOOK = "DS2RAY_WEBHOOK_URL"
"""Environment variable: the address that receives the notice, as Slack's incoming webhooks take it. It is a secret."""

REQUEST_S = 10.0
COMMAND_S = 60.0


@dataclass(frozen=True)
class Figures:
    """The figures of a kind of job.

    Attributes:
        name: of the job at a Pushgateway.
        exposition: their text, of a summary, its end, and the end of the last complete one.
        last_good_of: the last of these, by an earlier text.
    """

    name: str
    exposition: Callable[[Mapping[str, Any], float, float | None], str]
    last_good_of: Callable[[str], float | None]


OF_RUNS = Figures("ds2ray_adapt_users", exposition, last_good_of)
OF_TRAININGS = Figures("ds2ray_train", training_exposition, last_good_training_of)


@contextmanager
def announced(job: AdaptJob | TrainJob, figures: Figures = OF_RUNS) -> Iterator[dict[str, Any]]:
    """Tell of the run inside the context when it ends or fails; it puts its summary into the dictionary.

    A dry run is not told of.
    """
    summary: dict[str, Any] = {}
    try:
        yield summary
    except BaseException as error:
        summary.setdefault("exit_code", exit_code_of(error))
        _tell(job, figures, summary, private(str(error) or type(error).__name__))
        raise
    _tell(job, figures, summary, "")


def exit_code_of(error: BaseException) -> int:
    """What a run ends with for an error."""
    if isinstance(error, KeyboardInterrupt):
        return InterruptedRunError.exit_code
    return error.exit_code if isinstance(error, Ds2RayError) else 1


def _tell(job: AdaptJob | TrainJob, figures: Figures, summary: dict[str, Any], error: str) -> None:
    if job.dry_run:
        return
    settings, text = job.report, notice(summary, error, job.storage.root)
    if address := os.environ.get(WEBHOOK, ""):
        _or_a_line("the webhook", lambda: _send(address, json.dumps({"text": text}).encode(), "application/json"))
    if settings.metrics_file or settings.pushgateway:
        _or_a_line("the figures for Prometheus", lambda: _write_figures(job, figures, summary))
    if settings.on_end:
        _or_a_line("report.on_end", lambda: _run_command(settings.on_end, summary, text))


def _or_a_line(what: str, work: Callable[[], None]) -> None:
    """Do the work; where it fails, say so, but never where to: an address may be a secret."""
    try:
        work()
    except Exception as error:
        display.say(f"{what} could not be told of the run: {type(error).__name__}")


def _write_figures(job: AdaptJob | TrainJob, figures: Figures, summary: dict[str, Any]) -> None:
    path, gateway = job.report.metrics_file, job.report.pushgateway
    before = storage.read_bytes(path).decode() if path and storage.exists(path) else ""
    text = figures.exposition(summary, time.time(), figures.last_good_of(before)).encode()
    if path:
        storage.write_bytes(path, text)
    if gateway:
        # POST replaces the series that are sent, so that the last good run stays where this one was none
        _send(f"{gateway.rstrip('/')}/metrics/job/{figures.name}", text, "text/plain; version=0.0.4")


def _send(address: str, body: bytes, content_type: str) -> None:
    request = urllib.request.Request(address, body, {"Content-Type": content_type}, method="POST")
    if request.type not in ("http", "https"):
        raise ValueError("not an address of a web server")
    with urllib.request.urlopen(request, timeout=REQUEST_S):
        pass


def _run_command(command: str, summary: dict[str, Any], text: str) -> None:
    variables = {
        "DS2RAY_RUN_ID": str(summary.get("run_id", "")),
        "DS2RAY_EXIT_CODE": str(summary.get("exit_code", 1)),
        "DS2RAY_MESSAGE": text,
    }
    subprocess.run(
        command,
        shell=True,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        check=True,
        timeout=COMMAND_S,
    )
