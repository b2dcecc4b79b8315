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


@pytest.mark.parametrize("token", ["", "0" * 64])
def test_without_the_token_nothing_is_accepted(head: HeadNode, token: str) -> None:
    assert head.get("/api/jobs/", token)[0] in (401, 403)
    refused = head.ray("job", "submit", "--no-wait", "--submission-id=intruder", "--", "true", token=token)
    assert refused.returncode != 0
    assert "intruder" not in head.ray("job", "list").stdout
