"""jobs/train.py: a base from scratch, fine-tuning, or one user's adapter.

torch and Ray are imported only when all that can be known without them is in order.
"""

import time
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from ds2ray import display, storage
from ds2ray.commands.reporting.data import tell_data, write_data_page
from ds2ray.commands.reporting.telling import OF_TRAININGS, announced
from ds2ray.commands.wanted import require_model_file, require_place
from ds2ray.compat.names import check_adapter_name
from ds2ray.config import TrainConfig, TrainJob
from ds2ray.errors import ConfigError, InputError
from ds2ray.shapes.architectures import shape_of
from ds2ray.shapes.shape import Shape
from ds2ray.sound.noise import NoiseFolder
from ds2ray.store import Store, lease, read_base_record, server_outside
from ds2ray.store.layout import base_uri
from ds2ray.training.base.sources import TrainingData, read_tables, usable_data
from ds2ray.training.tracking.tracker import require_tracker

if TYPE_CHECKING:
    from collections.abc import Callable

    from ds2ray.cluster.base_training import FinishedBase
    from ds2ray.model.weights import Base
    from ds2ray.training.base.task import BaseTask


class Mode(Enum):
    from_scratch = "training a base from scratch"
    fine_tuning = "fine-tuning a base"
    adapter = "training one adapter"


def detect_mode(train: TrainConfig) -> Mode:
    """The mode that the settings ask for. Raises ConfigError where they contradict each other."""
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
    started_s = time.monotonic()
    with announced(job, OF_TRAININGS) as summary:
        try:
            with storage.using(server_outside(job.data, job.storage)):
                code = _train(job, Store.of(job.storage), summary)
        finally:
            summary["seconds"] = time.monotonic() - started_s
        summary["exit_code"] = code
    return code


def _train(job: TrainJob, store: Store, summary: dict[str, Any]) -> int:
    mode = detect_mode(job.train)
    if mode is Mode.adapter and job.train.doctor:
        raise ConfigError("train.doctor=true examines the training of a base, and this trains an adapter: leave it out")
    start_from = job.train.base_model_path or job.train.pretrained_model_path
    if start_from:
        require_model_file(start_from)
    if mode is Mode.adapter:
        check_adapter_name(job.train.adapter_name)
    elif job.train.augment.noise_dir:
        NoiseFolder(job.train.augment, job.audio.sample_rate_hz)  # is there any audio in it?
    if mode is not Mode.adapter:
        require_tracker(job.train.tracker)
    display.doing("reading the manifests and looking at the audio")
    tables = read_tables(job.train, job.text, job.data.encoding)
    start = _open_start(job, start_from) if start_from else None
    shape = start.model.shape if start else shape_of(job.model, job.audio)
    text = start.vocabulary.config if start else job.text
    vocabulary, tell = start.vocabulary if start else None, display.telling("reading")
    data = usable_data(tables, job.train, job.data, text, shape, vocabulary, start, tell)
    _say_data(mode, data, job.data.silence_rows)
    if job.dry_run:
        if mode is not Mode.adapter:
            _look_before(job, data, shape, lambda: _task(job, start, data, shape))
        return 0
    if mode is Mode.adapter:
        from ds2ray.compat.single_user import train_one_adapter

        assert start is not None
        return train_one_adapter(job, store, start, data)
    return _train_base(job, store, start, data, shape, summary)


def _open_start(job: TrainJob, start_from: str) -> "Base":
    """The base that is trained further, or that an adapter is trained on."""
    from ds2ray.model.files import load_model_file  # imports torch

    start = load_model_file(start_from)
    if job.train.base_model_path:
        require_place(job.adapter, start.model.shape)
    return start


def _say_data(mode: Mode, data: TrainingData, silence_rows: float) -> None:
    silence = f"; {silence_rows:.0%} as many rows of silence" if silence_rows and mode is not Mode.adapter else ""
    display.say(f"{mode.value}: {data.summary()}{silence}")
    for note in data.notes:
        display.say(f"  {note}")
    for problem in data.problems[:20]:
        display.say(f"  left out: {problem}")
    if len(data.problems) > 20:
        display.say(f"  … and {len(data.problems) - 20} more")


def _task(job: TrainJob, start: "Base | None", data: TrainingData, shape: Shape) -> "BaseTask":
    from ds2ray.training.base.task import BaseTask  # imports torch

    # workers have another working directory
    output_dir = storage.absolute(job.train.output_dir)
    augment = job.train.augment
    if augment.noise_dir:
        augment = replace(augment, noise_dir=storage.absolute(augment.noise_dir))
    return BaseTask(
        model=shape.model,
        audio=shape.audio,
        vocabulary=data.vocabulary,
        train=replace(job.train, output_dir=output_dir, augment=augment),
        train_utterances=data.train,
        valid_utterances=data.valid,
        checkpoint_uri=storage.join(output_dir, "checkpoints"),
        initial_state=start.model.base_state() if start else None,
        silence_rows=job.data.silence_rows,
    )


def _look_before(job: TrainJob, data: TrainingData, shape: Shape, task: "Callable[[], BaseTask]") -> None:
    """What is told before the first step: the data, and with `train.doctor` whether anything can be learnt of them."""
    report = tell_data(job, data, shape)
    if job.train.doctor:
        from ds2ray.commands.reporting.doctor import ask_doctor  # imports torch

        ask_doctor(task(), lambda lines: write_data_page(job, data, report, lines))


def _train_base(
    job: TrainJob,
    store: Store,
    start: "Base | None",
    data: TrainingData,
    shape: Shape,
    summary: dict[str, Any],
) -> int:
    from ds2ray.cluster.base_training import run_id_of, train_on_ray  # imports Ray

    task = _task(job, start, data, shape)
    summary["run_id"] = run_id_of(task)
    # one training at a time: another would write its checkpoints and its model.pt among those of this one
    folder = Store(task.train.output_dir, storage.current_server())
    with lease.kept(folder, "train", wait_s=job.storage.wait_for_lease_s) as hold:
        finished = find_finished(task, store) if job.train.resume else None
        if finished:
            display.say(
                f"nothing is left to do: {finished} was trained with these settings (train.resume=false trains again)"
            )
        else:
            _look_before(job, data, shape, lambda: task)
            finished = train_on_ray(task, store.fenced(hold.fence), job.cluster)
            display.say(str(finished))
    if job.report.metrics_file or job.report.pushgateway:
        summary["metrics"] = read_base_record(store, finished.base_id).metrics
    return 0


def find_finished(task: "BaseTask", store: Store) -> "FinishedBase | None":
    """The store's newest base and its model.pt, where they come from this very task."""
    from ds2ray.cluster.base_training import MODEL_FILE, FinishedBase, run_id_of

    model_uri = storage.join(task.train.output_dir, MODEL_FILE)
    try:
        record = read_base_record(store)
    except InputError:
        return None  # there is no base yet
    if record.run_id != run_id_of(task) or not storage.exists(model_uri):
        return None
    return FinishedBase(record.base_id, model_uri, base_uri(store, record.base_id))
