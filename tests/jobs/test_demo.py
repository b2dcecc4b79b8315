"""The demo's whole way at a toy size; what it gains at its own size is for `make demo` to show."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fleet_runs import run_job_here

from ds2ray.demo.corpus import ENGLISH_USERS
from ds2ray.model.stored import open_adapter, open_base
from ds2ray.store import read_pointer

pytestmark = [pytest.mark.process, pytest.mark.ray]

DEMO = Path(__file__).parents[2] / "jobs" / "demo.py"
LAST_LINE = re.compile(
    r"demo: users=8 wer_before=(?P<before>[\d.]+) wer_after=(?P<after>[\d.]+) worse=(?P<worse>\d+) seconds=\d+"
)
TOY = [
    "num_train_sentences=24",
    "num_user_sentences=5",
    "num_test_sentences=2",
    "model.conv_channels=4",
    "model.num_rnn_layers=1",
    "model.rnn_hidden_dim=24",
    "train.num_epochs=2",
    "adapt.num_epochs=2",
]


def run_demo(folder: Path) -> list[str]:
    command = [sys.executable, str(DEMO), f"output_dir={folder}/demo", *TOY]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.splitlines()


def test_the_whole_way_and_again_without_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run_demo(tmp_path)
    assert LAST_LINE.fullmatch(lines[-1])
    store = str(tmp_path / "demo" / "store")
    base = open_base(store)
    for user in ENGLISH_USERS:
        pointer = read_pointer(store, user)
        opened = open_adapter(store, user, base)
        assert (pointer is None) == (opened is None)
    commands = [line.split() for line in lines if " jobs/" in line]
    names = ["jobs/transcribe.py", "jobs/adapt_users.py", "jobs/sweep_adapters.py"]
    assert [command[1] for command in commands] == names
    assert (tmp_path / commands[0][2]).exists()
    model = torch.load(tmp_path / "demo" / "outputs" / "model.pt", weights_only=True)
    assert model["fingerprint"] == base.fingerprint
    assert (tmp_path / "demo" / "gains.png").read_bytes().startswith(b"\x89PNG")

    monkeypatch.chdir(tmp_path)
    done = run_job_here("demo", f"output_dir={tmp_path}/demo", *TOY)
    assert done.code == 0
    again = done.out.splitlines()
    first, second = LAST_LINE.fullmatch(lines[-1]), LAST_LINE.fullmatch(again[-1])
    assert first is not None
    assert second is not None
    assert first.group("before", "after", "worse") == second.group("before", "after", "worse")
    assert any("all 8 users unchanged" in line for line in again)
