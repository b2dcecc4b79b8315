"""jobs/train.py: a base from scratch, fine-tuning, or one user's adapter."""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

import ray.train
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, get_device
from ray.train.v2.api.exceptions import TrainingFailedError
from torch.utils.tensorboard import SummaryWriter

from ds2ray import storage
from ds2ray.artifacts import publish_base
from ds2ray.cluster.session import cluster_gpus, connected
from ds2ray.config import ClusterConfig, StorageConfig, TrainConfig, TrainJob
from ds2ray.data.batches import SpeechDataset
from ds2ray.errors import ConfigError, Ds2RayError
from ds2ray.model.weights import Base, load_model_file, save_model_file
from ds2ray.training.adapter import AdapterTrainer
from ds2ray.training.base import BaseTask, EpochReport, train_base
from ds2ray.training.sources import TrainingData, load_training_data

log = logging.getLogger(__name__)

MODEL_FILE = "model.pt"


class Mode(Enum):
    from_scratch = "training a base from scratch"
    fine_tuning = "fine-tuning a base"
    adapter = "training one adapter"


def detect_mode(train: TrainConfig) -> Mode:
    """What is asked for, by what is given. Raises ConfigError where it contradicts itself."""
    if train.base_model_path and train.pretrained_model_path:
        raise ConfigError(
            "train.base_model_path (adapter) and train.pretrained_model_path (fine-tuning) are both given: name one"
        )
    if train.base_model_path:
        if not train.adapter_name:
            raise ConfigError("train.adapter_name is missing: name the user whose adapter is trained")
        return Mode.adapter
    if train.adapter_name:
        raise ConfigError(f"train.adapter_name={train.adapter_name!r} needs train.base_model_path: an adapter's base")
    return Mode.fine_tuning if train.pretrained_model_path else Mode.from_scratch


def run(job: TrainJob) -> int:
    """Train what the job describes; returns the exit code."""
    storage.configure(job.storage)
    mode = detect_mode(job.train)
    start_from = job.train.base_model_path or job.train.pretrained_model_path
    start = load_model_file(start_from) if start_from else None
    audio = start.audio if start else job.audio
    text = start.vocabulary.config if start else job.text
    data = load_training_data(job.train, job.data, text, audio, start.vocabulary if start else None)
    print(f"{mode.value}: {data.summary()}", flush=True)
    for problem in data.problems[:20]:
        print(f"  left out: {problem}")
    if job.dry_run:
        return 0
    if mode is Mode.adapter:
        assert start is not None
        return train_one_adapter(job, start, data)
    task = BaseTask(
        model=start.model_config if start else job.model,
        audio=audio,
        vocabulary=data.vocabulary,
        train=job.train,
        train_utterances=data.train,
        valid_utterances=data.valid,
        checkpoint_uri=storage.join(job.train.output_dir, "checkpoints"),
        initial_state=start.model.base_state() if start else None,
    )
    finished = train_on_ray(task, job.storage, job.cluster)
    print(f"base {finished.base_id}: {finished.model_uri}, published {finished.base_uri}")
    return 0


def train_one_adapter(job: TrainJob, base: Base, data: TrainingData) -> int:
    """One user's adapter, in this process."""
    model, train = base.model, job.train
    model.add_adapter(job.adapter)
    train_set = SpeechDataset(data.train, base.vocabulary, base.audio)
    valid_set = SpeechDataset(data.valid, base.vocabulary, base.audio)
    trainer = AdapterTrainer(
        trainset_list=[train_set],
        validset=valid_set,
        device="cuda" if torch.cuda.is_available() else "cpu",
        vocab=base.vocabulary,
        adapter_save_dir=train.adapter_save_dir,
    )
    trainer.train(model, train.batch_size, len(train_set), train.num_epochs, train.adapter_name)
    fit = trainer.fit
    assert fit is not None
    before, after = fit.score_before.words.rate(), fit.score_after.words.rate()
    path = storage.join(train.adapter_save_dir, f"{train.adapter_name}_adapter.pt")
    print(f"adapter {train.adapter_name}: held-out WER {before:.1%} → {after:.1%}, {fit.epochs} epochs, saved {path}")
    return 0


@dataclass(frozen=True)
class FinishedBase:
    """Where a trained base lies, and its last validation."""

    base_id: str
    model_uri: str
    base_uri: str
    metrics: dict[str, float]


def train_on_ray(task: BaseTask, storage_config: StorageConfig, cluster: ClusterConfig) -> FinishedBase:
    """Train with `cluster.num_workers` DDP workers on Ray; 0 trains in this process, without Ray.

    Raises:
        Ds2RayError: training failed on the workers, with their reason.
    """
    settings = {"task": task, "storage": storage_config}
    if cluster.num_workers == 0:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return _train_and_publish(task, storage_config, torch.device(device), rank=0, report=_print_line)
    with connected(cluster):
        use_gpu = cluster_gpus() > 0
        resources = {"CPU": cluster.cpus_per_worker}
        if use_gpu:
            resources["GPU"] = cluster.gpus_per_worker
        # Ray's own state of a run is a cache: our checkpoints and the published base are what counts
        ray_state_dir = tempfile.mkdtemp(prefix="ds2ray-train-")
        try:
            trainer = TorchTrainer(
                _worker,
                train_loop_config={"settings": ray.put(settings)},
                scaling_config=ScalingConfig(
                    num_workers=cluster.num_workers, use_gpu=use_gpu, resources_per_worker=resources
                ),
                run_config=RunConfig(
                    name="train",
                    storage_path=ray_state_dir,
                    failure_config=FailureConfig(max_failures=cluster.max_failures),
                ),
            )
            result = trainer.fit()
        except TrainingFailedError as error:
            raise _reason(error) or Ds2RayError(f"training failed on the workers: {error}") from error
        finally:
            shutil.rmtree(ray_state_dir, ignore_errors=True)
    assert result.metrics is not None
    return FinishedBase(**result.metrics["finished"])


def _worker(config: dict[str, Any]) -> None:
    """What each Ray Train worker runs."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = ray.get(config["settings"])
    storage.configure(settings["storage"])
    rank = ray.train.get_context().get_world_rank()

    def report(epoch: EpochReport) -> None:
        if rank == 0:
            _print_line(epoch)
        if epoch.epoch < epoch.num_epochs:
            ray.train.report(epoch.metrics())

    finished = _train_and_publish(settings["task"], settings["storage"], get_device(), rank, report)
    ray.train.report({"finished": asdict(finished)})


def _train_and_publish(
    task: BaseTask,
    storage_config: StorageConfig,
    device: torch.device,
    rank: int,
    report: Callable[[EpochReport], None],
) -> FinishedBase:
    """Train on this rank; rank 0 writes model.pt, TensorBoard files and the published base."""
    board = _board(task.train.output_dir) if rank == 0 else None
    last: dict[str, float] = {}

    def report_and_draw(epoch: EpochReport) -> None:
        last.update(epoch.metrics())
        if board is not None:
            for name, value in epoch.metrics().items():
                board.add_scalar(name, value, epoch.epoch)
            board.flush()
        report(epoch)

    base = train_base(task, device, report_and_draw)
    model_uri = storage.join(task.train.output_dir, MODEL_FILE)
    base_uri = ""
    if rank == 0:
        save_model_file(model_uri, base)
        base_uri = publish_base(storage_config.root, base, run_id="train", metrics=last)
    if board is not None:
        board.close()
    return FinishedBase(base.base_id, model_uri, base_uri, last)


def _board(output_dir: str) -> SummaryWriter | None:
    """TensorBoard files are written where the output is a folder of this machine."""
    if not storage.is_local(output_dir):
        log.info("no TensorBoard files: %s is not a local folder", output_dir)
        return None
    return SummaryWriter(os.path.join(storage.local_path(output_dir), "tensorboard"))


def _print_line(epoch: EpochReport) -> None:
    print(epoch.line(), flush=True)


def _reason(error: BaseException) -> Ds2RayError | None:
    """The error of ours among the failures of the workers."""
    failures = getattr(error, "worker_failures", {}).values()
    for failure in [error, *failures]:
        cause: BaseException | None = failure
        while cause is not None:
            if isinstance(cause, Ds2RayError):
                return cause
            cause = getattr(cause, "cause", None) or cause.__cause__
    return None
