"""Minimal base training for tests, in this process or as a program of its own that can be killed or be one rank.

As a program: `python base_training.py FOLDER [--world-size W] [--stop-after STEPS]`, or with `--kills SEED`. Its
processes are forked, so that torch is imported once.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from toy_speech import AUDIO, MODEL, VOCABULARY, make_utterances

from ds2ray.config import AugmentConfig, TrainConfig, from_plain
from ds2ray.config.train import AS_IT_IS
from ds2ray.errors import ArtifactCorruptError, InterruptedRunError
from ds2ray.model.files import save_model_file
from ds2ray.model.weights import Base
from ds2ray.tables.manifest import Utterance
from ds2ray.training.base.loop import train_base
from ds2ray.training.base.reports import EpochReport, Observer
from ds2ray.training.base.task import BaseTask

NO_AUGMENT = AugmentConfig(num_time_masks=0, num_mel_masks=0, **AS_IT_IS)
TASK_FILE = "task.json"


def make_task(folder: Path, *, num_train: int = 18, num_valid: int = 4, **train: Any) -> BaseTask:
    """A task on speech in `folder`; keyword arguments are settings of TrainConfig."""
    settings: dict[str, Any] = {"num_epochs": 4, "batch_size": 6, "learning_rate": 0.02, "augment": NO_AUGMENT, **train}
    return BaseTask(
        model=MODEL,
        audio=AUDIO,
        vocabulary=VOCABULARY,
        train=TrainConfig(**settings),
        train_utterances=make_utterances(folder, num_train, seed=1),
        valid_utterances=make_utterances(folder, num_valid, seed=2),
        checkpoint_uri=str(folder / "checkpoints"),
    )


def train(
    task: BaseTask, report: Callable[[EpochReport], None] = lambda epoch: None, **observer: Any
) -> tuple[Base, list[EpochReport]]:
    """Train on the CPU; returns the base and the reports of all epochs. Keyword arguments are fields of Observer."""
    reports: list[EpochReport] = []

    def collect(epoch: EpochReport) -> None:
        reports.append(epoch)
        report(epoch)

    return train_base(task, "cpu", Observer(collect, **observer)), reports


@dataclass(frozen=True)
class TrainedBase:
    base: Base
    reports: list[EpochReport]


def train_toy_base(folder: Path) -> TrainedBase:
    """A base that has learned toy speech of ordinary pitch, in some seconds."""
    augment = AugmentConfig(max_time_mask_frames=5, num_mel_masks=0, speeds=[0.95, 1.0, 1.05], **AS_IT_IS)
    return TrainedBase(*train(make_task(folder, num_train=64, num_epochs=20, num_valid=8, augment=augment)))


def stop_after(steps: int) -> Callable[[], bool]:
    """An observer's `stopped` that says yes after so many steps (and validation batches)."""
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked >= steps

    return stopped


def weights(base: Base) -> dict[str, torch.Tensor]:
    """Parameters and batch-norm statistics."""
    return {name: tensor.clone() for name, tensor in base.model.state_dict().items()}


def assert_equal_weights(first: Base, second: Base) -> None:
    """Bit for bit."""
    other = weights(second)
    for name, tensor in weights(first).items():
        assert torch.equal(tensor, other[name]), name


def write_task(folder: Path, **settings: Any) -> None:
    """Describe a task for this file as a program."""
    (folder / TASK_FILE).write_text(json.dumps(settings))


def read_task(folder: Path) -> BaseTask:
    """The task that `write_task` described."""
    settings = json.loads((folder / TASK_FILE).read_text())
    counts = {name: settings.pop(name) for name in ("num_train", "num_valid") if name in settings}
    if "augment" in settings:
        settings["augment"] = AugmentConfig(**settings["augment"])
    typed = vars(from_plain(TrainConfig, settings))
    return make_task(folder, **counts, **{name: typed[name] for name in settings})


def damaged(utterance: Utterance) -> Utterance:
    """The same utterance, with audio that ends early."""
    path = Path(str(utterance.audio))
    cut = path.with_name(f"cut-{path.name}")
    cut.write_bytes(path.read_bytes()[:-1000])
    return replace(utterance, audio=str(cut))


class Killed(BaseException):
    """Ends a run between two epochs, as a kill would."""


def killed_after(epoch: int) -> Callable[[EpochReport], None]:
    """A report function that kills the run after this epoch."""

    def report(done: EpochReport) -> None:
        if done.epoch == epoch:
            raise Killed

    return report


def program(folder: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start this file as a program on the task in `folder`."""
    support = Path(__file__)
    environment = {**os.environ, "PYTHONPATH": f"{support.parents[2]}:{support.parent}"}
    return subprocess.Popen([sys.executable, str(support), str(folder), *arguments], env=environment)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--world-size", type=int, default=1)
    parser.add_argument("--stop-after", type=int, default=10**9)
    parser.add_argument("--kills", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.kills is not None:
        _train_under_fire(arguments.folder, arguments.kills)
        return
    children = []
    for rank in range(arguments.world_size):
        child = os.fork()
        if child == 0:
            os._exit(_train_as_rank(arguments.folder, rank, arguments.world_size, arguments.stop_after))
        children.append(child)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))


def _train_as_rank(folder: Path, rank: int, world_size: int, num_steps: int) -> int:
    """Train and write the model and what happened; returns the exit code."""
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=world_size)
    try:
        base, reports = train(read_task(folder), stopped=stop_after(num_steps))
    except InterruptedRunError as error:
        # whichever rank comes here first
        return error.exit_code if (folder / "checkpoints" / "latest.json").exists() else 1
    save_model_file(str(folder / f"model-{rank}.pt"), base)
    result: dict[str, Any] = {"reports": [asdict(epoch) for epoch in reports]}
    result["with_damaged_checkpoint"] = _error_with_damaged_checkpoint(folder, rank)
    (folder / f"result-{rank}.json").write_text(json.dumps(result))
    dist.barrier()  # or one would miss the other before it has heard of the damage
    return 0


def _train_under_fire(folder: Path, seed: int) -> None:
    """Train in children of which five are killed, each some steps and a moment after its start; the last one ends."""
    draws = random.Random(seed)
    for life in range(6):
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read_end)
            _train_telling_steps(folder, write_end)
            os._exit(0)
        os.close(write_end)
        if life < 5:
            # seven of 24 steps at most in each life but the last: all of them together do not reach the end
            for _ in range(draws.randint(1, 4)):
                os.read(read_end, 1)
            time.sleep(draws.uniform(0, 0.05))
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        assert os.WTERMSIG(status) == (signal.SIGKILL if life < 5 else 0), f"life {life}: {status}"
        os.close(read_end)


def _train_telling_steps(folder: Path, write_end: int) -> None:
    def stopped() -> bool:
        os.write(write_end, b".")
        return False

    with open(folder / "said.txt", "a") as said:
        base, _ = train(read_task(folder), stopped=stopped, say=lambda line: print(line, file=said, flush=True))
    save_model_file(str(folder / "model-0.pt"), base)


def _error_with_damaged_checkpoint(folder: Path, rank: int) -> str:
    if rank == 0:
        for path in (folder / "checkpoints").glob("*.pt"):
            path.write_bytes(b"damaged")
    try:
        train(read_task(folder))
    except ArtifactCorruptError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    main()
