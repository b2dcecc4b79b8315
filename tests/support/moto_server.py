"""A server for tests that honours conditional writes: moto's, on a free port, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from s3_server import S3Server

_CODE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def serve_moto() -> Iterator[S3Server]:
    """Run a server that keeps its objects in memory, until the context ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", _CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "AWS_DEFAULT_REGION": "us-east-1"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        server = S3Server(f"http://127.0.0.1:{int(process.stdout.readline())}", "moto-test", "moto-secret")
        server.make_bucket()
        yield server
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
