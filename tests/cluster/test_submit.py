"""`ray job submit` against a real head node with dashboard and token."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from fleet_runs import ROOT, SETTINGS, RandomBase, spoken, wait_for, write_users

from ds2ray.demo.corpus import DemoCorpus
from ds2ray.store import Store, read_pointer
from ds2ray.store.outcomes import Status, read_outcomes

pytestmark = [pytest.mark.process, pytest.mark.ray]

RAY = str(Path(sys.executable).with_name("ray"))
ENDED = {"SUCCEEDED", "FAILED", "STOPPED"}


@dataclass(frozen=True)
class HeadNode:
    """A head node of a cluster, and how to reach it."""

    gcs_port: int
    dashboard_port: int
    token: str
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.dashboard_port}"

    def environment(self, token: str) -> dict[str, str]:
        """An environment without the addresses of other clusters of this machine."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        inherited["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}"  # as a node's image has it
        return {**inherited, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_ADDRESS": self.url}

    def ray(self, *argv: str, token: str | None = None) -> "subprocess.CompletedProcess[str]":
        environment = self.environment(self.token if token is None else token)
        return subprocess.run([RAY, *argv], capture_output=True, text=True, check=False, env=environment)

    def get(self, path: str, token: str) -> tuple[int, bytes]:
        """Status and body of what the dashboard answers."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {token}"} if token else {})
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except urllib.error.URLError:
            return 0, b""

    def status(self, submission_id: str) -> str:
        code, body = self.get(f"/api/jobs/{submission_id}", self.token)
        assert code == 200, body
        return str(json.loads(body)["status"])


@pytest.fixture(scope="module")
def head() -> Iterator[HeadNode]:
    """`ray start --head --block`, with ports, token and folder of its own."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(9)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        ports = [probe.getsockname()[1] for probe in sockets]
    folder = Path(tempfile.mkdtemp(prefix="ds2r-", dir="/tmp"))  # Ray's sockets need a short path
    node = HeadNode(ports[0], ports[1], secrets.token_hex(32), folder / "head.log")
    names = ["object-manager-port", "node-manager-port", "dashboard-agent-grpc-port", "dashboard-agent-listen-port"]
    names += ["metrics-export-port", "runtime-env-agent-port", "ray-client-server-port"]
    command = [
        RAY,
        "start",
        "--head",
        "--block",
        "--num-cpus=2",
        "--include-dashboard=true",
        "--node-ip-address=127.0.0.1",
    ]
    command += [f"--port={node.gcs_port}", "--dashboard-host=127.0.0.1", f"--dashboard-port={node.dashboard_port}"]
    command += [f"--{name}={port}" for name, port in zip(names, ports[2:], strict=True)]
    command += [f"--temp-dir={folder}", "--disable-usage-stats"]
    environment = node.environment(node.token)
    del environment["RAY_ADDRESS"]
    with open(node.log, "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        wait_for(lambda: node.get("/api/jobs/", node.token)[0] == 200 or process.poll() is not None)
        assert process.poll() is None, node.log.read_text()
        yield node
    finally:
        process.send_signal(signal.SIGTERM)  # `--block` stops what it has started
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_submitted_fleet_run_publishes_adapters(
    head: HeadNode, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
) -> None:
    root = random_base.publish(str(tmp_path / "store"))
    folder = tmp_path / "work"  # what a user submits: the code and a table
    for part in ("jobs", "conf", "ds2ray"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    write_users(str(folder / "users.csv"), {user: spoken(small_corpus)[user] for user in ("fiona", "tony")})
    submitted = head.ray(
        *("job", "submit", "--no-wait", "--submission-id=night", "--working-dir", str(folder), "--"),
        *("python", "jobs/adapt_users.py", "users.csv", f"storage.root={root}", "run_id=night", *SETTINGS),
    )
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    wait_for(lambda: head.status("night") in ENDED)
    told = head.ray("job", "logs", "night").stdout
    assert head.status("night") == "SUCCEEDED", told
    assert "2 users · 2 adapted" in told, told
    rows = read_outcomes(Store(root), "night")
    assert [(row.user_key, row.status) for row in rows] == [("fiona", Status.adapted), ("tony", Status.adapted)]
    for row in rows:
        pointer = read_pointer(Store(root), row.user_key)
        assert pointer is not None
        assert pointer.version == row.version


STOPPABLE = """
import signal, sys, time
from ds2ray.store import Store
from ds2ray.store.layout import summary_uri
from ds2ray.store.records import SUMMARY, write_record
settings = dict(word.split("=", 1) for word in sys.argv[1:])
def end(*_):
    time.sleep(4)  # longer than Ray waits by itself
    store = Store(settings["storage.root"])
    summary = {"run_id": settings["run_id"], "exit_code": 3}
    write_record(store, summary_uri(store, settings["run_id"]), SUMMARY, summary)
    print("published", flush=True)
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
print("at work", flush=True)
time.sleep(600)
"""
"""A job that needs some seconds to come to its end, as one that publishes what is done."""


def submit(head: HeadNode, *argv: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "jobs" / "submit.py"), *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=head.environment(head.token))


def test_a_job_is_run_once_and_ends_with_its_own_exit_code(head: HeadNode) -> None:
    argv = ("name=three", "date=monday", "--", sys.executable, "-c", "print('of the job'); raise SystemExit(3)")
    done = submit(head, *argv)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "of the job" in done.stdout.splitlines()
    assert "job three-monday-1 has ended with exit code 3" in done.stdout
    again = submit(head, *argv)
    assert again.returncode == 3
    assert "has ended already, with exit code 3" in again.stdout
    other = submit(head, *argv[:-1], "print()")
    assert (other.returncode, "another command" in other.stderr) == (2, True)


def test_a_stopped_job_has_time_to_publish_and_its_exit_code_is_that_of_its_run(head: HeadNode, tmp_path: Path) -> None:
    script = tmp_path / "adapt_users.py"
    script.write_text(STOPPABLE)
    command = ("--", "env", f"PYTHONPATH={ROOT}", sys.executable, str(script), f"storage.root={tmp_path}/store")
    done = submit(head, "name=long", "--timeout=8", *command)
    assert done.returncode == 3, done.stdout + done.stderr
    assert {"at work", "published"} <= set(done.stdout.splitlines())
    assert "has not ended after 8 s: it is stopped" in done.stdout


@pytest.mark.parametrize("token", ["", "0" * 64])
def test_without_the_token_nothing_is_accepted(head: HeadNode, token: str) -> None:
    assert head.get("/api/jobs/", token)[0] in (401, 403)
    refused = head.ray("job", "submit", "--no-wait", "--submission-id=intruder", "--", "true", token=token)
    assert refused.returncode != 0
    assert "intruder" not in head.ray("job", "list").stdout
