"""Base training that is long enough to be cut short in the middle of its only epoch."""

from pathlib import Path
from typing import Any

from base_training import NO_AUGMENT
from toy_speech import AUDIO, MODEL, make_utterances

from ds2ray.config import ClusterConfig, StorageConfig, TrainConfig, TrainJob
from ds2ray.tables.manifest import write_manifest

NUM_TRAIN, NUM_VALID = 150, 4


def make_job(folder: Path, num_workers: int, **train: Any) -> TrainJob:
    """A job of one epoch with a step for every utterance, and a checkpoint every few steps."""
    folder.mkdir(exist_ok=True)
    manifests = {}
    for name, count, seed in (("train", NUM_TRAIN, 1), ("valid", NUM_VALID, 2)):
        manifests[name] = str(folder / f"{name}.csv")
        write_manifest(manifests[name], make_utterances(folder, count, seed=seed))
    settings: dict[str, Any] = {"num_epochs": 1, "batch_size": 1, "checkpoint_every_s": 0.05, **train}
    return TrainJob(
        model=MODEL,
        audio=AUDIO,
        train=TrainConfig(
            manifest=manifests["train"],
            valid_manifest=manifests["valid"],
            output_dir=str(folder / "outputs"),
            augment=NO_AUGMENT,
            **settings,
        ),
        storage=StorageConfig(root=str(folder / "store")),
        cluster=ClusterConfig(num_workers=num_workers),
    )


def checkpoint_steps(folder: Path) -> list[int]:
    """The steps of the run at which its checkpoints stand, ascending."""
    return sorted(int(path.name[:9]) for path in (folder / "outputs" / "checkpoints").glob("*.pt"))
