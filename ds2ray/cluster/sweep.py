"""The trials of a sweep. The users' speech is encoded once; all trials share the encodings in Ray's object store."""

import logging
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ray
import torch
from ray import tune

from ds2ray import display
from ds2ray.cluster.gpus import cluster_gpus
from ds2ray.cluster.session import quiet_tune
from ds2ray.config import AdaptConfig, DataConfig, SweepJob
from ds2ray.errors import InputError, TrainingDivergedError
from ds2ray.fleet.sweep import SweepPoint, SweepRow
from ds2ray.metrics import Score
from ds2ray.model.devices import assigned_device
from ds2ray.model.weights import Base
from ds2ray.progress import duration_text
from ds2ray.storage import Server, current_server, known_to_answer, using
from ds2ray.store import user_key
from ds2ray.store.keys import is_private, keep_private
from ds2ray.tables.manifest import Manifest, Utterance
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.judging.results import AdapterFit
from ds2ray.training.adapters.speech import UserSpeech, encode_users
from ds2ray.training.adapters.stack.stacked import StackedTraining, fresh_adapter, stacks

log = logging.getLogger(__name__)


def _encode(
    base: Base,
    users: Mapping[str, Sequence[Utterance]],
    after_layer: int,
    adapt: AdaptConfig,
    data: DataConfig,
    outside: Server,
    private: bool,
) -> list[UserSpeech]:
    """The encoded speech of these users, by their keys."""
    known_to_answer(outside)
    keep_private(private)
    encoder = Encoder(
        base,
        after_layer,
        adapt.encode_batch_s,
        device=assigned_device(len(ray.get_gpu_ids())),
        precision=adapt.precision,
        max_duration_s=data.max_duration_s,
        segment_long=data.segment_long,
    )
    with using(outside):
        speeches = encode_users(encoder, users, adapt)
    for speech in speeches:
        if not speech.parts:
            log.warning("%s is left out: too few usable utterances", speech.user_key)
    # on the CPU, so that trials on any device can read them from shared memory
    return [replace(speech, frames=[rows.cpu() for rows in speech.frames]) for speech in speeches if speech.parts]


def try_points(job: SweepJob, base: Base, users: Sequence[Manifest], points: Sequence[SweepPoint]) -> list[SweepRow]:
    """Try all points on these users, on the connected cluster. Raises InputError where every trial failed."""
    gpus = job.adapt.gpus_per_trial if cluster_gpus() > 0 else 0.0
    encode = ray.remote(num_cpus=job.adapt.cpus_per_trial, num_gpus=gpus)(_encode)
    base_ref = ray.put(base)
    # the keys are made here: a worker needs no salt
    speech = {user_key(user.user_id): user.utterances for user in users}
    place = job.adapter.after_layer
    encoded_ref = encode.remote(base_ref, speech, place, job.adapt, job.data, current_server(), is_private())
    trainable = tune.with_resources(
        tune.with_parameters(_trial, shared=(base_ref, encoded_ref, list(points), job.adapt)),
        {"cpu": job.adapt.cpus_per_trial, "gpu": gpus},
    )
    tune_state_dir = tempfile.mkdtemp(prefix="ds2ray-sweep-")
    try:
        with quiet_tune(keep_results=True):
            grid = tune.Tuner(
                trainable,
                param_space={"point": tune.grid_search(list(range(len(points))))},
                tune_config=tune.TuneConfig(max_concurrent_trials=job.adapt.max_concurrent_trials or None),
                run_config=tune.RunConfig(
                    name="sweep", storage_path=tune_state_dir, verbose=0, callbacks=[SweepProgress(len(points))]
                ),
            ).fit()
    finally:
        shutil.rmtree(tune_state_dir, ignore_errors=True)
    rows = []
    for result in (grid[index] for index in range(len(grid))):
        if result.error or result.metrics is None:
            point = points[(result.config or {})["point"]]
            logging.error("trial %s failed: %s", point.overrides(), result.error)
            continue
        metrics = {name: result.metrics[name] for name in SweepRow.__dataclass_fields__}
        rows.append(SweepRow(**metrics))
    if not rows:
        raise InputError("every trial of the sweep failed; the reasons are above")
    return rows


class SweepProgress(tune.Callback):
    """Shows how many trials of a sweep are done."""

    def __init__(self, num_trials: int) -> None:
        self.num_trials, self.done, self.started_s = num_trials, 0, time.monotonic()

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        facts = [f"{self.done}/{self.num_trials} trials"]
        if 0 < self.done < self.num_trials:
            left_s = (time.monotonic() - self.started_s) * (self.num_trials / self.done - 1)
            facts.append(f"eta {duration_text(left_s)}")
        phase = "training" if self.done else "encoding speech and training"
        display.doing(phase, *facts, share=self.done / self.num_trials)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.done += 1

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.done += 1


def _trial(config: dict[str, Any], shared: tuple[Any, Any, list[SweepPoint], AdaptConfig]) -> None:
    """A trial: train an adapter of one shape for every user of the sample, on the shared encodings."""
    base_ref, speeches_ref, points, adapt = shared
    base: Base = ray.get(base_ref)
    # a stack writes to its users' lists of frames, which the next trial of this worker reads again
    speeches: list[UserSpeech] = [replace(speech, frames=[*speech.frames]) for speech in ray.get(speeches_ref)]
    point = points[config["point"]]
    device = assigned_device(len(ray.get_gpu_ids()))
    base.model.to(device)
    if not speeches:
        raise InputError("no user of the sample has enough usable speech; the reasons are above")
    fits = list(_fits(base, speeches, point, replace(adapt, learning_rate=point.learning_rate), device))
    before = sum((fit.score_before for fit in fits), Score())
    after = sum((fit.score_after for fit in fits), Score())
    num_parameters = sum(tensor.numel() for tensor in fits[0].state.values())
    row = SweepRow(
        overrides=point.overrides(),
        hidden_dims="-".join(str(width) for width in point.adapter.hidden_dims),
        num_parameters=num_parameters,
        size_bytes=4 * num_parameters,
        held_out_loss=sum(fit.loss_after for fit in fits) / len(fits),
        wer_before=before.words.rate(),
        wer_after=after.words.rate(),
        cer_after=after.characters.rate(),
    )
    tune.report(dict(vars(row)))


def _fits(
    base: Base, speeches: Sequence[UserSpeech], point: SweepPoint, adapt: AdaptConfig, device: torch.device
) -> Iterator[AdapterFit]:
    """Each user's adapter of this shape. Raises TrainingDivergedError where a user has none."""
    for stack in stacks(base.model, speeches, device, adapt.batch_size):
        adapters = [fresh_adapter(base.model, point.adapter, speech.seed, device) for speech in stack]
        training = StackedTraining(base.model, adapters, stack, base.vocabulary, adapt, point.adapter.after_layer)
        for place, fit in training.run():
            if isinstance(fit, str):
                raise TrainingDivergedError(f"{stack[place].user_key}: {fit}")
            yield fit
