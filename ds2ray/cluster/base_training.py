"""Training a base on Ray Train's workers, or in this process: model.pt, TensorBoard files, the published base."""

import math
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, cast

import ray.train
import torch
from ray.train.torch import get_device
from ray.train.v2.api.callback import UserCallback
from ray.train.v2.api.config import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.v2.api.exceptions import TrainingFailedError
from ray.train.v2.api.result import Result
from ray.train.v2.torch.torch_trainer import TorchTrainer

from ds2ray import display, storage
from ds2ray.cluster.exchange import asking, exchanging, told_to_stop
from ds2ray.cluster.gpus import cluster_gpus
from ds2ray.cluster.privacy import write_as_the_job
from ds2ray.cluster.progress import our_error
from ds2ray.cluster.session import connected
from ds2ray.config import ClusterConfig
from ds2ray.display.doing import Doing
from ds2ray.errors import Ds2RayError, StorageError
from ds2ray.fleet.bandwidth import TELEPHONE_SHARE
from ds2ray.model.devices import assigned_device
from ds2ray.model.files import save_model_file
from ds2ray.model.stored import publish_base
from ds2ray.model.weights import Base
from ds2ray.recognition.calibrating import calibrate_trained, described
from ds2ray.store import Store, publish_calibrations
from ds2ray.store.keys import is_private, keep_private
from ds2ray.training.base.board import Board
from ds2ray.training.base.doctor.findings import Doctor
from ds2ray.training.base.loop import train_base
from ds2ray.training.base.reports import EpochReport, Observer, Progress
from ds2ray.training.base.stopping import stop_on_signal
from ds2ray.training.base.task import BaseTask
from ds2ray.training.tracking.opening import open_tracker
from ds2ray.training.tracking.tracker import Tracked

MODEL_FILE = "model.pt"

LIVE_EVERY_S = 0.5
"""Seconds between two updates of a live display."""

RAY_SETTINGS = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # seconds between looks at the workers, and so until their end is seen
    # Ray may ask for as many workers as there were before a node was lost: not for long, until it counts again
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "20",
    # a worker on a machine that is taken away fails, and training goes on from the newest checkpoint
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}
"""Settings of Ray Train, for variables that the environment does not set."""

LEFT_OUT = (
    # asks the dashboard, which local clusters lack, every second; placement groups end with the job anyway
    "PlacementGroupCleanerCallback",
    # a process, seconds to start, for Ray Data's datasets, of which training has none
    "DatasetsCallback",
)
"""Ray Train's callbacks that training goes without."""


@dataclass(frozen=True)
class FinishedBase:
    """A trained base: its id, the URI of its model.pt and that of its folder in the store (empty but on rank 0)."""

    base_id: str
    model_uri: str
    base_uri: str

    def __str__(self) -> str:
        return f"base {self.base_id}: {self.model_uri}, published as {self.base_uri}"


def run_id_of(task: BaseTask) -> str:
    """The id of the training that a base's record names: the same for the same settings and data."""
    return f"train-{task.fingerprint[:16]}"


def train_on_ray(task: BaseTask, store: Store, cluster: ClusterConfig) -> FinishedBase:
    """Train with `cluster.num_workers` DDP workers on Ray; 0 trains in this process, without Ray.

    SIGTERM and Ctrl-C save the state before they end the run. With `cluster.min_workers` Ray begins with as many
    workers as there is room for, and starts them anew, from the newest checkpoint, when that changes.

    Args:
        task: with absolute URIs.

    Raises:
        InterruptedRunError: the job was asked to stop, and the training's state is saved.
        Ds2RayError: training failed on the workers, with their reason.
    """
    if cluster.num_workers == 0:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with stop_on_signal(lambda: True, display.say) as asked:
            return _train_and_publish(task, store, device, 0, _tell, display.is_live(), asked.is_set)
    for name, value in RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    with connected(cluster), exchanging(_tell) as exchange:
        use_gpu = cluster_gpus() > 0
        resources = {"CPU": cluster.cpus_per_worker}
        if use_gpu:
            resources["GPU"] = cluster.gpus_per_worker
        # Ray's own state of a run is a cache: our checkpoints and the published base are what counts
        ray_state_dir = tempfile.mkdtemp(prefix="ds2ray-train-")
        elastic = (cluster.min_workers, cluster.num_workers)
        try:
            trainer = _Trainer(
                _worker,
                # by reference: the configuration itself is written to Ray's logs
                train_loop_config={
                    "settings": ray.put((task, store, storage.current_server())),
                    "exchange": exchange,
                    "num_workers": cluster.num_workers,
                    "is_live": display.is_live(),
                    "private": is_private(),
                },
                scaling_config=ScalingConfig(
                    num_workers=elastic if cluster.min_workers else cluster.num_workers,
                    use_gpu=use_gpu,
                    resources_per_worker=resources,
                ),
                run_config=RunConfig(
                    name="train",
                    storage_path=ray_state_dir,
                    failure_config=FailureConfig(max_failures=cluster.max_failures),
                    callbacks=[_StopAtOurErrors()],
                    logging_config=LoggingConfig(log_level="CRITICAL"),
                ),
            )
            display.doing("starting workers")
            with stop_on_signal(lambda: told_to_stop(exchange), display.say):
                result = cast(Result, trainer.fit())
        except TrainingFailedError as error:
            raise our_error(error) or Ds2RayError(f"training failed on the workers: {error}") from error
        finally:
            shutil.rmtree(ray_state_dir, ignore_errors=True)
    assert isinstance(result.return_value, FinishedBase)
    return result.return_value


class _Trainer(TorchTrainer):
    """TorchTrainer without the parts that fail where the job has started its cluster itself, or that serve nobody."""

    def _create_default_callbacks(self) -> list[Any]:
        callbacks: list[Any] = super()._create_default_callbacks()
        return [callback for callback in callbacks if type(callback).__name__ not in LEFT_OUT]

    def _register_sigint_handler(self, controller: Any) -> None:
        """Ctrl-C unwinds this process like SIGTERM; Ray's own handler would end it with exit code 0."""


class _StopAtOurErrors(UserCallback):
    """Ends the training at an error that would come again; Ray would start the workers anew."""

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        for exception in worker_exceptions.values():
            error = our_error(exception)
            if error is not None and not isinstance(error, StorageError):
                raise error


def _tell(news: "str | Doing") -> None:
    """Show a line that stays, or progress."""
    if isinstance(news, Doing):
        display.doing(news.phase, *news.facts, share=news.share)
    else:
        display.say(news)


def _worker(config: dict[str, Any]) -> FinishedBase:
    """The training function of each Ray Train worker."""
    write_as_the_job()
    keep_private(config["private"])
    task, store, outside = ray.get(config["settings"])
    storage.known_to_answer(store.server, outside)
    context = ray.train.get_context()
    rank, started, wanted = context.get_world_rank(), context.get_world_size(), config["num_workers"]
    exchange = config["exchange"]

    def tell(news: str | Doing) -> None:
        ray.get(exchange.put.remote(news))

    if rank == 0 and started < wanted:
        tell(f"training with {started} of {wanted} workers: the cluster has no room for more")
    assigned_device(len(ray.get_gpu_ids()))  # Ray's own choice is the CPU where no GPU can be seen
    with storage.using(outside), asking(exchange) as stopped:
        return _train_and_publish(task, store, get_device(), rank, tell, config["is_live"], stopped)


def _train_and_publish(
    task: BaseTask,
    store: Store,
    device: torch.device,
    rank: int,
    tell: Callable[[str | Doing], None],
    is_live: bool,
    stopped: Callable[[], bool],
) -> FinishedBase:
    """Train on this rank; rank 0 tells the progress and writes model.pt, TensorBoard files and the published base.

    Args:
        tell: takes lines that stay, and progress.
        is_live: whether the driver's display is live: it shows progress every half second, a log a line now and then.
    """
    with ExitStack() as resources:
        writers: list[Board | Tracked] = []
        board = resources.enter_context(Board(task.train.output_dir, tell)) if rank == 0 else None
        if board is not None:
            sections = {"model": task.model, "audio": task.audio, "train": task.train}
            board.describe(sections, texts=not is_private())
            tracked = open_tracker(task.train, run_id_of(task), sections, not is_private(), tell)
            writers = [board, *([resources.enter_context(tracked)] if tracked else [])]
        metrics: dict[str, float] = {}
        doctor = Doctor(task.train.learning_rate)

        def report(epoch: EpochReport) -> None:
            if board is not None:
                for writer in writers:
                    writer.add(epoch.metrics(), epoch.epoch)
                board.upload()
                tell(epoch.line(task.train.metric))
                for finding in doctor.epoch(epoch):
                    tell(finding)

        def progress(now: Progress) -> None:
            if not is_live:
                tell(now.line())
            for writer in writers:
                writer.add({f"steps/{name}": value for name, value in now.metrics().items()}, now.step)
            for finding in doctor.progress(now):
                tell(finding)

        def published(epoch: EpochReport) -> None:
            metrics.update(epoch.metrics())

        observer = Observer(
            epoch=report,
            progress=progress,
            now=lambda now: tell(Doing(now.phase(), tuple(now.facts()), now.share())),
            now_every_s=LIVE_EVERY_S if is_live else math.inf,
            doing=lambda phase: tell(Doing(phase)),
            say=tell,
            stopped=stopped,
            published=published,
        )
        base = train_base(task, device, observer)
        model_uri = storage.join(task.train.output_dir, MODEL_FILE)
        base_uri = ""
        if rank == 0:
            tell(Doing("publishing the base"))
            save_model_file(model_uri, base)
            heard = {TELEPHONE_SHARE: task.train.augment.telephone_share}
            base_uri = publish_base(store, base, run_id_of(task), metrics={**metrics, **heard})
            _calibrate(base, store, device, task, tell)
        return FinishedBase(base.base_id, model_uri, base_uri)


def _calibrate(
    base: Base, store: Store, device: torch.device, task: BaseTask, tell: Callable[[str | Doing], None]
) -> None:
    """Publish how sure the base's words are, by its validation data; the base is of use without that, too."""
    tell(Doing("calibrating the base"))
    try:
        found = calibrate_trained(base, store, device, task.valid_utterances)
        if found:
            publish_calibrations(store, base.base_id, {name: asdict(each) for name, each in found.items()})
            tell(f"confidence of words is calibrated, with expected errors of {described(found)}")
    except Ds2RayError as error:
        tell(f"confidence of words is not calibrated: {error}")
