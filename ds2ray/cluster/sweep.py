"""jobs/sweep_adapters.py: which adapter shape serves a few users best, for how many bytes.

The users' speech is encoded once; all trials share the encodings through Ray's object store.
"""

import itertools
import logging
import random
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import ray
import torch
from ray import tune

from ds2ray import storage
from ds2ray.cluster.session import cluster_gpus, connected, quiet_tune
from ds2ray.config import AdaptConfig, AdapterConfig, SweepConfig, SweepJob
from ds2ray.errors import ConfigError, InputError
from ds2ray.fleet.sweep_report import SweepRow, write_report
from ds2ray.metrics import Score
from ds2ray.model.adapter import MLPAdapter
from ds2ray.model.stored import open_base
from ds2ray.model.weights import Base
from ds2ray.tables.users import UserData, read_fleet, read_manifests, usable_users
from ds2ray.tables.users_table import user_rows
from ds2ray.training.adapters.cohort import CohortUser, EncodedUser, encode_users, speech_of, user_seed
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.fit import fit_adapter


@dataclass(frozen=True)
class SweepPoint:
    """One adapter shape and learning rate to try."""

    adapter: AdapterConfig
    learning_rate: float

    def overrides(self) -> str:
        """The command line that selects it for jobs/adapt_users.py."""
        dims = ",".join(str(width) for width in self.adapter.hidden_dims)
        return (
            f"'adapter.hidden_dims=[{dims}]' adapter.activation={self.adapter.activation.value} "
            f"adapter.dropout={self.adapter.dropout:g} adapter.after_layer={self.adapter.after_layer} "
            f"adapt.learning_rate={self.learning_rate:g}"
        )


def sweep_points(sweep: SweepConfig, adapter: AdapterConfig, adapt: AdaptConfig) -> list[SweepPoint]:
    """Every combination of what is listed; what is not listed keeps its configured value."""
    return [
        SweepPoint(replace(adapter, hidden_dims=list(dims), activation=activation, dropout=dropout), rate)
        for dims, rate, dropout, activation in itertools.product(
            sweep.hidden_dims,
            sweep.learning_rates or [adapt.learning_rate],
            sweep.dropouts or [adapter.dropout],
            sweep.activations or [adapter.activation],
        )
    ]


def run(job: SweepJob) -> int:
    """Try all points on a sample of users; returns the exit code."""
    storage.configure(job.storage)
    if not job.users:
        raise ConfigError("users is missing: give a table with `user_id,manifest`, as in `sweep_adapters.py users.csv`")
    points = sweep_points(job.sweep, job.adapter, job.adapt)
    base = open_base(job.storage.root, job.base)
    users = _sample(job, base)
    hours = sum(u.duration_s or 0.0 for user in users for u in user.utterances) / 3600
    print(f"{len(points)} trials on {len(users)} users ({hours:.2f} h of speech), base {base.base_id}")
    if job.dry_run:
        for point in points:
            print(f"  {point.overrides()}")
        return 0
    with connected(job.cluster):
        results = _try_points(job, base, users, points)
    write_report(results, job.sweep.output_dir, f"python jobs/adapt_users.py {shlex.quote(job.users)}")
    return 0


def _sample(job: SweepJob, base: Base) -> list[UserData]:
    """A seeded draw among the users with enough usable speech; of sealed ones only who is drawn is read."""
    least = job.adapt.min_utterances
    fleet = read_fleet(job.users, job.data)

    def enough(users: Sequence[UserData]) -> list[UserData]:
        checked = usable_users(users, data=job.data, audio=base.audio, vocabulary=base.vocabulary)
        return [user for user in checked if len(user.utterances) >= least]

    known = enough(fleet.users)
    sealed = fleet.table.rows.filter(pc.greater_equal(fleet.table.rows["num_utterances"], least))
    total = len(known) + sealed.num_rows
    places = random.Random(job.adapt.seed).sample(range(total), min(job.sweep.num_users, total))
    rows = sealed.take(pa.array([place - len(known) for place in places if place >= len(known)], pa.int64()))
    drawn = [known[place] for place in places if place < len(known)]
    drawn += enough(read_manifests(user_rows(rows, job.users)))
    if not drawn:
        num_users = len(fleet.users) + fleet.table.rows.num_rows
        wanted = f"the {least} usable utterances that adapt.min_utterances asks for"
        raise InputError(f"{job.users}: none of {num_users} users has {wanted}")
    if len(drawn) < len(places):
        logging.warning("left out: %d drawn users, whose manifests hold too little speech", len(places) - len(drawn))
    return sorted(drawn, key=lambda user: user.user_id)


def _encode(base: Base, users: Sequence[UserData], after_layer: int, adapt: AdaptConfig) -> list[EncodedUser]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder = Encoder(base, after_layer, adapt.encode_batch_s, device, adapt.precision)
    encoded = encode_users(encoder, [CohortUser(user.user_id, user.utterances) for user in users])
    # trials read them from shared memory, whatever device they run on
    return [replace(user, encodings=[rows.cpu() for rows in user.encodings]) for user in encoded]


def _try_points(job: SweepJob, base: Base, users: Sequence[UserData], points: Sequence[SweepPoint]) -> list[SweepRow]:
    gpus = job.adapt.gpus_per_trial if cluster_gpus() > 0 else 0.0
    encode = ray.remote(num_cpus=job.adapt.cpus_per_trial, num_gpus=gpus)(_encode)
    base_ref = ray.put(base)
    encoded_ref = encode.remote(base_ref, users, job.adapter.after_layer, job.adapt)
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
                run_config=tune.RunConfig(name="sweep", storage_path=tune_state_dir, verbose=0),
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


def _trial(config: dict[str, Any], shared: tuple[Any, Any, list[SweepPoint], AdaptConfig]) -> None:
    """Train one shape for every user of the sample, on shared encodings."""
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
        adapter = MLPAdapter.from_config(base.model.encoding_dim(point.adapter.after_layer), point.adapter).to(device)
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
