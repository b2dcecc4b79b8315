from collections.abc import Iterator

import hypothesis
import pytest
from s3_server import S3Server, serve

# How long an example takes depends on the machine; examples are the same in every run.
hypothesis.settings.register_profile("ds2ray", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ds2ray")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A running S3 server; `s3_root` is the way to use it."""
    with serve(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_root(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty `s3://` root, with the credentials in the environment of this process and those it starts."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    return s3_server.new_root()
