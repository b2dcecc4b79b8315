"""A night's run on Kubernetes, against a server that answers as the API server does."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ds2ray.errors import ConfigError, InterruptedRunError
from ds2ray.kubernetes.api import KubernetesApi
from ds2ray.kubernetes.nightly import Night, exit_code, main, run_night

RAY_JOBS = "/apis/ray.io/v1/namespaces/ds2ray/rayjobs"
PODS = "/api/v1/namespaces/ds2ray/pods"
TEMPLATE = {
    "apiVersion": "ray.io/v1",
    "kind": "RayJob",
    "metadata": {"name": "template", "uid": "t", "resourceVersion": "7", "labels": {"of": "us"}},
    "spec": {"suspend": True, "entrypoint": "python jobs/adapt_users.py"},
    "status": {"jobDeploymentStatus": "Suspended"},
}
NIGHT = Night("night-1", "uid-1", "template")


def status(deployment: str, job: str = "", message: str = "") -> dict[str, Any]:
    return {"jobDeploymentStatus": deployment, "jobStatus": job, "message": message}


def failed(code: int) -> dict[str, Any]:
    message = f"Job entrypoint command failed with exit code {code}, last available logs: adapt.num_epochs=3"
    return status("Failed", "FAILED", message)


class ApiServer(ThreadingHTTPServer):
    """RayJobs by name, the log of each one's pod, and the course of their states: one more with every look."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.ray_jobs: dict[str, dict[str, Any]] = {"template": TEMPLATE}
        self.courses: dict[str, list[dict[str, Any]]] = {}
        self.logs: dict[str, list[str]] = {}
        self.refusals: list[int] = []  # answers of the next requests, before they are heard
        self.created: list[dict[str, Any]] = []
        self.tokens: set[str] = set()
        self.queries: list[dict[str, list[str]]] = []

    def look(self, name: str) -> dict[str, Any] | None:
        course = self.courses.get(name)
        if course and name in self.ray_jobs:
            self.ray_jobs[name]["status"] = course.pop(0) if len(course) > 1 else course[0]
        return self.ray_jobs.get(name)


class Answers(BaseHTTPRequestHandler):
    server: ApiServer

    def do_GET(self) -> None:
        where = urlsplit(self.path)
        self.server.tokens.add(self.headers.get("Authorization", ""))
        if self.server.refusals:
            self.answer(self.server.refusals.pop(0), {})
        elif where.path.startswith(RAY_JOBS):
            found = self.server.look(where.path.rpartition("/")[2])
            self.answer(200 if found else 404, found or {})
        elif where.path == PODS:
            (selected,) = parse_qs(where.query)["labelSelector"]
            name = selected.removeprefix("job-name=")
            pods = [{"metadata": {"name": f"{name}-pod"}}] if name in self.server.logs else []
            self.answer(200, {"items": pods})
        else:
            self.server.queries.append(parse_qs(where.query))
            lines = self.server.logs[where.path.removesuffix("-pod/log").rpartition("/")[2]]
            self.answer(200, "".join(f"{line}\n" for line in lines))

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.refusals:
            self.answer(self.server.refusals.pop(0), {"message": "forbidden"})
            return
        known = document["metadata"]["name"] in self.server.ray_jobs
        if not known:
            self.server.ray_jobs[document["metadata"]["name"]] = document
            self.server.created.append(document)
        self.answer(409 if known else 201, document)

    def answer(self, code: int, body: object) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ApiServer]:
    server = ApiServer()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def api(server: ApiServer, tmp_path: Path) -> Iterator[KubernetesApi]:
    (tmp_path / "token").write_text("of-the-account\n")
    api = KubernetesApi("ds2ray", f"http://127.0.0.1:{server.server_port}", tmp_path)
    yield api
    api.session.close()


def run(api: KubernetesApi, night: Night = NIGHT) -> int:
    return run_night(api, night, lambda: None)


def test_a_night_is_created_from_the_template_and_watched_to_its_end(
    server: ApiServer, api: KubernetesApi, capsys: pytest.CaptureFixture[str]
) -> None:
    server.courses["night-1-1"] = [
        status("Initializing"),
        status("Running", "RUNNING"),
        status("Complete", "SUCCEEDED"),
    ]
    assert run(api) == 0
    (created,) = server.created
    assert created["metadata"] == {
        "name": "night-1-1",
        "labels": {"of": "us"},
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "night-1", "uid": "uid-1"}],
    }
    assert created["spec"] == {"suspend": False, "entrypoint": "python jobs/adapt_users.py"}
    assert server.tokens == {"Bearer of-the-account"}
    printed = capsys.readouterr().out
    assert "RayJob night-1-1: Initializing\nRayJob night-1-1: Running · RUNNING\n" in printed
    assert "exit code 0" in printed


def test_each_line_of_the_log_is_shown_once(
    server: ApiServer, api: KubernetesApi, capsys: pytest.CaptureFixture[str]
) -> None:
    server.courses["night-1-1"] = [status("Running", "RUNNING")] * 3 + [status("Complete", "SUCCEEDED")]
    lines = [f"2026-11-27T02:00:00.{n:09}Z user {n}" for n in range(3)] + ["2026-11-27T02:00:09.000000000Z done"]
    server.logs["night-1-1"] = lines
    assert run(api) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line for line in shown if line.startswith(("user", "done"))] == ["user 0", "user 1", "user 2", "done"]
    assert [query.get("sinceTime") for query in server.queries] == [None] + [["2026-11-27T02:00:09Z"]] * 3


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (failed(2), 2),
        (failed(3), 3),
        (failed(75), 75),
        (failed(-9), 75),
        (status("Failed", "FAILED", "the driver's node is gone"), 75),
        (status("Complete", "STOPPED"), 75),
        (status("Failed", "", "DeadlineExceeded"), 75),
        (status("ValidationFailed", "", "exit code 0 is no field"), 2),
    ],
)
def test_the_exit_code_is_that_of_the_job(ended: dict[str, Any], code: int) -> None:
    assert exit_code({"status": ended}) == code


def test_a_pod_in_anothers_place_goes_on_with_the_ray_job_that_is_there(server: ApiServer, api: KubernetesApi) -> None:
    server.ray_jobs["night-1-1"] = {"status": status("Running", "RUNNING")}
    server.courses["night-1-1"] = [status("Running", "RUNNING"), status("Running", "RUNNING"), failed(3)]
    assert run(api) == 3
    assert server.created == []


@pytest.mark.parametrize("last", [status("Complete", "SUCCEEDED"), failed(2), failed(3)])
def test_a_night_that_is_over_is_not_run_again(server: ApiServer, api: KubernetesApi, last: dict[str, Any]) -> None:
    server.ray_jobs["night-1-1"] = {"status": last}
    assert run(api) == exit_code({"status": last})
    assert server.created == []


@pytest.mark.parametrize("last", [failed(5), failed(75), status("Complete", "STOPPED")])
def test_what_can_pass_is_tried_again(server: ApiServer, api: KubernetesApi, last: dict[str, Any]) -> None:
    server.ray_jobs["night-1-1"] = {"status": last}
    server.courses["night-1-2"] = [status("Complete", "SUCCEEDED")]
    assert run(api) == 0
    assert [document["metadata"]["name"] for document in server.created] == ["night-1-2"]


def test_in_a_queue_the_ray_job_waits_for_kueue(server: ApiServer, api: KubernetesApi) -> None:
    server.courses["night-1-1"] = [status("Suspended"), status("Complete", "SUCCEEDED")]
    assert run(api, Night("night-1", "uid-1", "template", queue="nights")) == 0
    (created,) = server.created
    assert created["metadata"]["labels"] == {"of": "us", "kueue.x-k8s.io/queue-name": "nights"}
    assert created["spec"]["suspend"] is True


def test_a_server_that_comes_back_costs_nothing(server: ApiServer, api: KubernetesApi) -> None:
    server.courses["night-1-1"] = [status("Complete", "SUCCEEDED")]
    server.refusals = [503]
    assert run(api) == 0
    assert len(server.created) == 1


def test_what_kubernetes_refuses_is_a_wrong_setting(server: ApiServer, api: KubernetesApi) -> None:
    server.refusals = [403]
    with pytest.raises(ConfigError, match="Kubernetes refuses: GET .*night-1-1: 403"):
        run(api)
    del server.ray_jobs["template"]
    with pytest.raises(ConfigError, match="no RayJob template"):
        run(api)


def test_a_ray_job_that_is_deleted_is_an_interruption(server: ApiServer, api: KubernetesApi) -> None:
    server.courses["night-1-1"] = [status("Running", "RUNNING")]
    with pytest.raises(InterruptedRunError, match="was deleted"):
        run_night(api, NIGHT, lambda: server.ray_jobs.clear())


def test_the_command_takes_its_night_from_the_environment(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--template=template", f"--url=http://127.0.0.1:{server.server_port}", "--poll-s=0"]
    assert main(arguments) == 2
    assert "lacks JOB_NAME" in capsys.readouterr().out
    for name, value in {"JOB_NAME": "night-2", "JOB_UID": "u", "NAMESPACE": "ds2ray", "KUEUE_QUEUE": ""}.items():
        monkeypatch.setenv(name, value)
    server.courses["night-2-1"] = [failed(3)]
    assert main(arguments) == 3
