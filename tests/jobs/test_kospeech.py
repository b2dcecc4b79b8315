"""The three ways of training, by the commands that KoSpeech's users know, on data in KoSpeech's format."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fleet_runs import finish
from kospeech_data import TRANSCRIPTS, write_kospeech
from printed import said
from warm_jobs import WarmJob

from ds2ray.compat.adapter_manager import AdapterManager
from ds2ray.model.files import load_model_file
from ds2ray.model.stored import open_base
from ds2ray.model.weights import Base
from ds2ray.store import Store, read_pointer

pytestmark = [pytest.mark.process, pytest.mark.ray]

ROOT = Path(__file__).resolve().parents[2]
FROM_SCRATCH = (
    "python jobs/train.py model=ds2 train=ds2_train train.dataset_path=./data "
    "train.transcripts_path=./data/transcripts.txt"
)
FINE_TUNING = f"{FROM_SCRATCH} train.pretrained_model_path=./outputs/model.pt train.resume=false"
ADAPTER = (
    "python jobs/train.py model=ds2 train=adapter_train train.dataset_path=./data "
    "train.transcripts_path=./data/transcripts.txt train.base_model_path=./outputs/model.pt "
    "train.adapter_name=user_john train.adapter_save_dir=./adapters"
)
ONE_EPOCH = " train.num_epochs=1"
"""A step of the 25 million parameters of `model=ds2` takes seconds on a small machine."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with jobs/ and conf/ as in the project, and data in KoSpeech's format."""
    folder = tmp_path_factory.mktemp("kospeech")
    for name in ("jobs", "conf"):
        (folder / name).symlink_to(ROOT / name, target_is_directory=True)
    write_kospeech(folder / "data")
    yield folder
    for name in ("outputs", "store"):  # a gigabyte of weights
        shutil.rmtree(folder / name, ignore_errors=True)


def run(command: str, folder: Path) -> str:
    """Run a command as a shell in `folder` would; returns what it said."""
    words = shlex.split(command)
    words[0] = sys.executable
    unset = {"RAY_ADDRESS", "DS2RAY_STORAGE_ROOT"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    done = finish(WarmJob(words, cwd=folder, env=environment, **pipes))
    assert done.code == 0, done.out + done.err
    assert "Traceback" not in done.err
    assert "pid=" not in done.err  # nothing of what Ray says
    return "\n".join(said(done.out.splitlines()))


@pytest.fixture(scope="module")
def from_scratch(project: Path) -> tuple[str, Base]:
    """The output of the first command, and the base that it trained."""
    return run(FROM_SCRATCH + ONE_EPOCH, project), load_model_file(str(project / "outputs" / "model.pt"))


@pytest.fixture(scope="module")
def fine_tuned(project: Path, from_scratch: tuple[str, Base], ray_cluster: str) -> tuple[str, Base]:
    """The output and the base of the second command, on a running cluster."""
    command = f"{FINE_TUNING}{ONE_EPOCH} cluster.address={ray_cluster}"
    return run(command, project), load_model_file(str(project / "outputs" / "model.pt"))


def test_from_scratch(project: Path, from_scratch: tuple[str, Base]) -> None:
    output, base = from_scratch
    assert output.startswith("training a base from scratch: 7 training utterances")
    assert base.vocabulary.tokens[1:] == tuple(sorted({c for transcript in TRANSCRIPTS for c in transcript}))
    assert base.model.num_classes == len(base.vocabulary)
    assert 20e6 < base.model.count_parameters()["total"] < 30e6
    content = torch.load(project / "outputs" / "model.pt", weights_only=True)
    assert content["format"] == "ds2ray.model/1"
    assert list((project / "outputs" / "tensorboard").glob("events*"))
    assert open_base(Store(str(project / "store")), base.base_id).fingerprint == base.fingerprint


def test_fine_tuning(project: Path, from_scratch: tuple[str, Base], fine_tuned: tuple[str, Base]) -> None:
    output, base = fine_tuned
    assert output.startswith("fine-tuning a base: 7 training utterances")
    assert base.fingerprint != from_scratch[1].fingerprint
    assert base.vocabulary == from_scratch[1].vocabulary
    assert open_base(Store(str(project / "store"))).fingerprint == base.fingerprint


def test_one_users_adapter(project: Path, fine_tuned: tuple[str, Base]) -> None:
    output = run(ADAPTER, project)
    assert output.startswith("training one adapter: 7 training utterances")
    assert "adapter user_john: held-out WER" in output
    pointer = read_pointer(Store(str(project / "store")), "user_john")
    assert pointer is not None
    assert f"as version {pointer.version} of user user_john" in output
    base = load_model_file(str(project / "outputs" / "model.pt"))
    assert base.fingerprint == fine_tuned[1].fingerprint
    path = str(project / "adapters" / "user_john_adapter.pt")
    info = AdapterManager().get_adapter_info(path)
    assert info["adapter_name"] == "user_john"
    assert info["hidden_dims"] == [256]
    assert info["size_bytes"] < 5e6
    assert AdapterManager().load_adapter(base.model, path).adapter is not None
