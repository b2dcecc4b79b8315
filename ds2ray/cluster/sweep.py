"""The trials of a sweep. The users' speech is encoded once; all trials share the encodings in Ray's object store."""

import logging
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ray
import torch
from ray import tune

from ds2ray import display
from ds2ray.cluster.session import cluster_gpus, quiet_tune
from ds2ray.config import AdaptConfig, SweepJob
from ds2ray.errors import InputError
from ds2ray.fleet.sweep import SweepPoint, SweepRow
from ds2ray.metrics import Score
from ds2ray.model.adapters.kinds import build_adapter
from ds2ray.model.weights import Base
from ds2ray.progress import duration_text
from ds2ray.storage import Server, current_server, using
from ds2ray.tables.users import UserData
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.encoded import CohortUser, EncodedUser, encode_users, speech_of, user_seed
from ds2ray.training.adapters.fit import fit_adapter


def _encode(
    base: Base, users: Sequence[UserData], after_layer: int, adapt: AdaptConfig, outside: Server
) -> list[EncodedUser]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder = Encoder(base, after_layer, adapt.encode_batch_s, device, adapt.precision)
    with using(outside):
        encoded = encode_users(encoder, [CohortUser(user.user_id, user.utterances) for user in users])
    # on the CPU, so that trials on any device can read them from shared memory
    return [replace(user, encodings=[rows.cpu() for rows in user.encodings]) for user in encoded]


def try_points(job: SweepJob, base: Base, users: Sequence[UserData], points: Sequence[SweepPoint]) -> list[SweepRow]:
    """Try all points on these users, on the connected cluster. Raises InputError where every trial failed."""
    gpus = job.adapt.gpus_per_trial if cluster_gpus() > 0 else 0.0
    encode = ray.remote(num_cpus=job.adapt.cpus_per_trial, num_gpus=gpus)(_encode)
    base_ref = ray.put(base)
    encoded_ref = encode.remote(base_ref, users, job.adapter.after_layer, job.adapt, current_server())
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
    base_ref, encoded_ref, points, adapt = shared
    base: Base = ray.get(base_ref)
    users: list[EncodedUser] = ray.get(encoded_ref)
    point = points[config["point"]]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    base.model.to(device)
    adapt = replace(adapt, learning_rate=point.learning_rate)
    before, after, loss, num_parameters = Score(), Score(), 0.0, 0
    for user in users:
        seed = user_seed(user.user_key, adapt)
        speech = speech_of(base, user, adapt, device)
        torch.manual_seed(seed)
        adapter = build_adapter(base.model.encoding_dim(point.adapter.after_layer), point.adapter).to(device)
        num_parameters = sum(parameter.numel() for parameter in adapter.parameters())
        fit = fit_adapter(
            base.model, adapter, speech, base.vocabulary, adapt, seed=seed, after_layer=point.adapter.after_layer
        )
        before, after, loss = before + fit.score_before, after + fit.score_after, loss + fit.loss_after / len(users)
    row = SweepRow(
        overrides=point.overrides(),
        hidden_dims="-".join(str(width) for width in point.adapter.hidden_dims),
        num_parameters=num_parameters,
        size_bytes=4 * num_parameters,
        held_out_loss=loss,
        wer_before=before.words.rate(),
        wer_after=after.words.rate(),
        cer_after=after.characters.rate(),
    )
    tune.report(dict(vars(row)))
