"""A head node of a Ray cluster beside an S3 server, as an operator starts it but for ports and a folder of its own."""

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
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from faulty_proxy import FaultyProxy, faulty_proxy
from fleet_runs import wait_for
from s3_server import S3Server

RAY = str(Path(sys.executable).with_name("ray"))
START = ("ray", "start", "--head", "--dashboard-host=127.0.0.1")
"""How docs/operations.md starts a head node."""

STORAGE_ROOT = "s3://fleet/ds2ray"
"""The store of jobs that name none."""

_OTHER_PORTS = (
    *("object-manager-port", "node-manager-port", "dashboard-agent-grpc-port", "dashboard-agent-listen-port"),
    *("metrics-export-port", "runtime-env-agent-port", "ray-client-server-port"),
)
_FOR_TESTS = ("--block", "--num-cpus=2", "--include-dashboard=true", "--node-ip-address=127.0.0.1")


@dataclass(frozen=True)
class HeadNode:
    """A head node of a cluster, and how to reach it.

    Attributes:
        storage: the variables by which its jobs and workers reach the store on the S3 server …
        proxy: … which stands in front of it, and knows all requests.
    """

    gcs_port: int
    dashboard_port: int
    token: str
    log: Path
    storage: Mapping[str, str]
    proxy: FaultyProxy

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.dashboard_port}"

    def environment(self, token: str = "") -> dict[str, str]:
        """An environment without the addresses of other clusters of this machine."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        inherited["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}"  # as a node's image has it
        reached = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token or self.token, "RAY_ADDRESS": self.url}
        return {**inherited, **reached}

    def ray(self, *argv: str, token: str | None = None) -> "subprocess.CompletedProcess[str]":
        environment = {**self.environment(), **({} if token is None else {"RAY_AUTH_TOKEN": token})}
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


@contextmanager
def head_beside(server: S3Server) -> Iterator[HeadNode]:
    """Run a head node, whose jobs reach the S3 server, until the context ends."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(9)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        ports = [probe.getsockname()[1] for probe in sockets]
    with faulty_proxy(server.endpoint_url) as proxy:
        folder = Path(tempfile.mkdtemp(prefix="ds2r-", dir="/tmp"))  # Ray's sockets need a short path
        reached = {**server.environment(), "AWS_ENDPOINT_URL": proxy.endpoint_url, "DS2RAY_STORAGE_ROOT": STORAGE_ROOT}
        node = HeadNode(ports[0], ports[1], secrets.token_hex(32), folder / "head.log", reached, proxy)
        command = [RAY, *START[1:], *_FOR_TESTS, f"--port={node.gcs_port}", f"--dashboard-port={node.dashboard_port}"]
        command += [f"--{name}={port}" for name, port in zip(_OTHER_PORTS, ports[2:], strict=True)]
        command += [f"--temp-dir={folder}", "--disable-usage-stats"]
        # no workers for which there is no work yet, as in clusters that jobs start
        environment = {**node.environment(), **reached, "RAY_prestart_worker_first_driver": "0"}
        del environment["RAY_ADDRESS"]
        with open(node.log, "wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True
            )
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
