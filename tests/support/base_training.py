"""Minimal base training for tests, in this process or as a program of its own that can be killed or be one rank.

As a program: `python base_training.py FOLDER [--kill-after EPOCH] [--rank R --world-size W]`.
"""

import argparse
import json
import os
import signal
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from toy_speech import AUDIO, MODEL, VOCABULARY, make_utterances

from ds2ray.config import AugmentConfig, OptimizerType, TrainConfig
from ds2ray.data.manifest import Utterance
from ds2ray.errors import ArtifactCorruptError
from ds2ray.model.weights import Base, save_model_file
from ds2ray.training.base import BaseTask, EpochReport, train_base

NO_AUGMENT = AugmentConfig(num_time_masks=0, num_mel_masks=0)
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


def train(task: BaseTask, report: Callable[[EpochReport], None] = lambda epoch: None) -> tuple[Base, list[EpochReport]]:
    """Train on the CPU; returns the base and the reports of all epochs."""
    reports: list[EpochReport] = []

    def collect(epoch: EpochReport) -> None:
        reports.append(epoch)
        report(epoch)

    return train_base(task, "cpu", collect), reports


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
    if "augment" in settings:
        settings["augment"] = AugmentConfig(**settings["augment"])
    if "optimizer" in settings:
        settings["optimizer"] = OptimizerType(settings["optimizer"])
    return make_task(folder, **settings)


def damaged(utterance: Utterance) -> Utterance:
    """The same utterance, with audio that ends early."""
    path = Path(str(utterance.audio))
    cut = path.with_name(f"cut-{path.name}")
    cut.write_bytes(path.read_bytes()[:-1000])
    return replace(utterance, audio=str(cut))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kill-after", type=int, default=0)
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--world-size", type=int, default=1)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    torch.set_num_threads(1)
    if arguments.world_size > 1:
        dist.init_process_group(
            "gloo", f"file://{folder}/rendezvous", rank=arguments.rank, world_size=arguments.world_size
        )

    def report(epoch: EpochReport) -> None:
        if epoch.epoch == arguments.kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

    base, reports = train(read_task(folder), report)
    save_model_file(str(folder / f"model-{arguments.rank}.pt"), base)
    result: dict[str, Any] = {"reports": [asdict(epoch) for epoch in reports]}
    if dist.is_initialized():
        result["with_damaged_checkpoint"] = _error_with_damaged_checkpoint(folder, arguments.rank)
        dist.destroy_process_group()
    (folder / f"result-{arguments.rank}.json").write_text(json.dumps(result))


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
