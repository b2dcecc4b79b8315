"""The demo's whole way at a toy size; what it gains at its own size is for `make demo` to show."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fleet_runs import run_job_here
from terminals import Terminal, check_left_alone, job, terminal

from ds2ray.demo.corpus import ENGLISH_USERS
from ds2ray.model.stored import open_adapter, open_base
from ds2ray.store import Store, read_pointer

pytestmark = [pytest.mark.process, pytest.mark.ray]

LAST_LINE = re.compile(
    r"demo: users=8 wer_before=(?P<before>[\d.]+) wer_after=(?P<after>[\d.]+) wer_lm=(?P<model>[\d.]+) "
    r"worse=(?P<worse>\d+) seconds=\d+"
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


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Terminal]]:
    """The working directory of a demo that has been run, and the terminal that it ran on, which was resized."""
    folder = tmp_path_factory.mktemp("watched")
    with terminal(job("demo", f"output_dir={folder}/demo", *TOY), folder) as window:
        window.wait_for_text("starting Ray")
        window.resize(60)
        window.wait_for(lambda: "epoch 1/2" in window.text())
        window.resize(200, 50)
        window.wait_for(lambda: "3/4 adapting" in window.text())
        window.resize(100, 50)
        assert window.finish() == 0
        yield folder, window


def test_the_window_may_be_resized(watched: tuple[Path, Terminal]) -> None:
    _, window = watched
    check_left_alone(window)
    lines = window.shown().splitlines()
    assert LAST_LINE.fullmatch(lines[-1])
    assert not any(line.startswith(tuple("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")) for line in lines)


def test_the_whole_way_and_again_without_work(watched: tuple[Path, Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, window = watched
    lines = window.lines()
    assert LAST_LINE.fullmatch(lines[-1])
    store = str(folder / "demo" / "store")
    base = open_base(Store(store))
    for user in ENGLISH_USERS:
        pointer = read_pointer(Store(store), user)
        opened = open_adapter(Store(store), user, base)
        assert (pointer is None) == (opened is None)
    commands = [line.split() for line in lines if " jobs/" in line]
    names = ["jobs/transcribe.py", "jobs/adapt_users.py", "jobs/sweep_adapters.py"]
    assert [command[1] for command in commands] == names
    assert (folder / commands[0][2]).exists()
    model = torch.load(folder / "demo" / "outputs" / "model.pt", weights_only=True)
    assert model["fingerprint"] == base.fingerprint
    assert (folder / "demo" / "gains.png").read_bytes().startswith(b"\x89PNG")

    monkeypatch.chdir(folder)
    done = run_job_here("demo", f"output_dir={folder}/demo", *TOY)
    assert done.code == 0
    again = done.out.splitlines()
    first, second = LAST_LINE.fullmatch(lines[-1]), LAST_LINE.fullmatch(again[-1])
    assert first is not None
    assert second is not None
    assert first.group("before", "after", "model", "worse") == second.group("before", "after", "model", "worse")
    assert any("all 8 users unchanged" in line for line in again)
