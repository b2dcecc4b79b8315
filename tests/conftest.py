import copy
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from printed import Untimed
from s3_server import S3Server, serve
from sharing import DearFilesFirst
from starting import StartGuard

from ds2ray import display
from ds2ray.storage import Server

if TYPE_CHECKING:
    from base_training import TrainedBase
    from fleet_runs import RandomBase
    from head_node import HeadNode

    from ds2ray.demo.corpus import DemoCorpus
    from ds2ray.model.weights import Base
    from ds2ray.tables.manifest import Utterance

# How long an example takes depends on the machine; examples are the same in every run.
hypothesis.settings.register_profile("ds2ray", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ds2ray")


WORKERS_CREDENTIALS = "aws-credentials"
"""The file of credentials that the workers of the session's Ray cluster have, in the folder of Ray's files."""


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(StartGuard())
    if hasattr(config, "workerinput"):  # one of several processes, which take a file of tests after another
        config.pluginmanager.register(DearFilesFirst())
    # several threads for tensors as small as those of tests spend most of their time in waiting for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # clusters that tests start themselves: no workers for which there is no work yet, as in those that jobs start
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
    # a shell that starts pytest in the background has it, and all that it starts, ignore SIGINT, which tests send
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # … and nohup SIGHUP: a handler is not handed down to the jobs that tests start, as ignoring it would be
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)
    # apart from any other Ray of this machine, which jobs without an address would join; a short name, for sockets
    os.environ["RAY_TMPDIR"] = tempfile.mkdtemp(prefix="ds2ray-", dir="/tmp")


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(os.environ.pop("RAY_TMPDIR"), ignore_errors=True)


@pytest.fixture(autouse=True)
def no_half_minute_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A display without lines of progress, so that output does not depend on the time that earlier tests took."""
    monkeypatch.setattr(display, "_display", Untimed())


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A running S3 server; `s3_root` is the way to use it."""
    with serve(tmp_path_factory.mktemp("s3")) as server:
        Path(os.environ["RAY_TMPDIR"], WORKERS_CREDENTIALS).write_text(server.profile("default"))
        yield server


@pytest.fixture(scope="session")
def other_s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A second S3 server, with a bucket of the same name and a secret of its own."""
    with serve(tmp_path_factory.mktemp("other-s3")) as server:
        yield server


@pytest.fixture
def s3_profiles(
    s3_server: S3Server, other_s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[Server, Server]:
    """Two servers, whose credentials are profiles `one` and `two`; the environment has neither address nor secret."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    credentials = tmp_path / "aws-credentials"
    credentials.write_text(s3_server.profile("one") + other_s3_server.profile("two"))
    for name, value in s3_server.environment_without_server(str(credentials)).items():
        monkeypatch.setenv(name, value)
    return Server(s3_server.endpoint_url, "one"), Server(other_s3_server.endpoint_url, "two")


@pytest.fixture
def s3_root(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty `s3://` root, with the credentials in the environment of this process and those it starts."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    return s3_server.new_root()


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> "DemoCorpus":
    """Eight users with six utterances each, and a little for a base."""
    from ds2ray.demo.corpus import make_corpus

    folder = str(tmp_path_factory.mktemp("corpus"))
    return make_corpus(
        folder, num_train_sentences=20, num_valid_sentences=5, num_user_sentences=6, num_test_sentences=2
    )


@pytest.fixture(scope="session")
def random_base(small_corpus: "DemoCorpus", tmp_path_factory: pytest.TempPathFactory) -> "RandomBase":
    """A tiny base with random weights, published in a store; `publish` puts it into another one."""
    from fleet_runs import RandomBase, random_weights

    random = RandomBase(str(tmp_path_factory.mktemp("random-base")), random_weights(small_corpus))
    random.publish(random.root)
    return random


@pytest.fixture(scope="session")
def trained_base(tmp_path_factory: pytest.TempPathFactory) -> "TrainedBase":
    """A base that has learned toy speech of ordinary pitch; not to be changed."""
    from base_training import train_toy_base

    return train_toy_base(tmp_path_factory.mktemp("toy-base"))


@pytest.fixture(scope="session")
def spoken_base() -> "Base":
    """A base that has learned the demo's commands in its ordinary voices; not to be changed."""
    from ds2ray.model.files import load_model_file

    return load_model_file(str(Path(__file__).parent / "fixtures" / "spoken" / "model.pt"))


@pytest.fixture(scope="session")
def commands(small_corpus: "DemoCorpus") -> "list[Utterance]":
    """Sentences of the demo's ordinary voices, in the vocabulary of the spoken base."""
    from ds2ray.tables.manifest import read_manifest

    return [
        u for uri in (small_corpus.train_manifest, small_corpus.valid_manifest) for u in read_manifest(uri).utterances
    ]


@pytest.fixture
def fresh_base(trained_base: "TrainedBase") -> "Callable[[], Base]":
    """Gives copies of the trained base."""
    return lambda: copy.deepcopy(trained_base.base)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """A local Ray cluster with two CPUs that this process is connected to, for the whole session; its address."""
    import ray

    before = dict(os.environ)
    os.environ.pop("RAY_ADDRESS", None)
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    # nobody hands credentials to workers: they find those of the S3 server where they look by themselves
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(Path(os.environ["RAY_TMPDIR"], WORKERS_CREDENTIALS))
    ray.init("local", num_cpus=2, include_dashboard=False, logging_level=logging.ERROR)
    os.environ.pop("AWS_SHARED_CREDENTIALS_FILE")
    os.environ.update({name: value for name, value in before.items() if name == "AWS_SHARED_CREDENTIALS_FILE"})
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def ray_head(s3_server: S3Server) -> "Iterator[HeadNode]":
    """The head node of a Ray cluster that asks for a token, for jobs that are submitted to it."""
    from head_node import head_beside

    with head_beside(s3_server) as head:
        yield head
