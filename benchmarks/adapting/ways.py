"""The ways to train users' adapters that `adapt` compares, each with the same seeds, split and epochs."""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from plain_loop import fit_plainly
from torch import Tensor

from benchmarks.speech import Speaker
from ds2ray import storage, store
from ds2ray.batching.batches import SpeechDataset, collate, epoch_batches
from ds2ray.config import AdaptConfig, AdapterConfig, AdaptJob, ClusterConfig, StorageConfig, to_plain
from ds2ray.model.files import load_model_file
from ds2ray.model.stored import ensure_base
from ds2ray.model.weights import Base, to_bytes
from ds2ray.store import Store
from ds2ray.tables.manifest import write_manifest
from ds2ray.training.adapters.cohort import adapt_cohort, results_of
from ds2ray.training.adapters.judging.results import AdapterFit
from ds2ray.training.adapters.judging.split import Part
from ds2ray.training.adapters.speech import UserSpeech, tokens_of
from ds2ray.training.adapters.stack.learners import fresh_adapter


@dataclass(frozen=True)
class Task:
    """The task that every way does: the base, the adapter and the training."""

    base_path: str
    adapter: AdapterConfig
    adapt: AdaptConfig


@dataclass(frozen=True)
class Parts:
    """The parts of a user's epoch in the plain loop, in seconds."""

    encode_s: float  # B: reading and encoding the user's speech
    epoch_s: float  # A: an epoch of the adapter on stored encodings, with its held-out loss


def train_one(base: Base, user: Speaker, task: Task, device: str = "cpu") -> AdapterFit:
    """An adapter trained by the plain loop, which runs the frozen base in every epoch, as KoSpeech does."""
    place = task.adapter.after_layer
    model = base.model.to(device)
    dataset = SpeechDataset(user.adapt, base.vocabulary, base.audio)

    @torch.no_grad()
    def encode(rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        batch = collate([dataset[row] for row in rows]).to(device)
        return model.trunk(*model.features(batch.waveforms, batch.num_samples), place)

    frames = [torch.empty(length, 0) for length in num_frames(base, user)]
    speech = speech_of(base, user, task.adapt, frames)
    own = fresh_adapter(model, task.adapter, speech.seed, device)
    return fit_plainly(model, own, speech, base.vocabulary, task.adapt, place, encode)


def num_frames(base: Base, user: Speaker) -> list[int]:
    """Encoding frames of each of a user's utterances."""
    rate_hz, encoding_frames = base.audio.sample_rate_hz, base.model.shape.encoding_frames
    return [encoding_frames(round((u.duration_s or 0.0) * rate_hz)) for u in user.adapt]


def speech_of(base: Base, user: Speaker, adapt: AdaptConfig, frames: list[Tensor]) -> UserSpeech:
    """A user's encodings [T, D] with all that training needs."""
    train, held_out, seed = user.split(adapt)
    transcripts = [utterance.transcript for utterance in user.adapt]
    tokens = tokens_of(base.vocabulary, transcripts)
    return UserSpeech(user.user_id, seed, frames, tokens, transcripts, [Part(train, held_out)])


def publish(root: str, base: Base, user_id: str, fit: AdapterFit, task: Task) -> None:
    """Put a user's adapter into a store, as a fleet run does."""
    store.publish_adapter(
        Store(root),
        store.user_key(user_id),
        to_bytes(fit.state),
        base_fingerprint=base.fingerprint,
        data_fingerprint="",
        adapter=to_plain(task.adapter),
        run_id="benchmark",
        error_before=fit.score_before.words.rate(),
        error_after=fit.score_after.words.rate(),
    )


def warm_base(task: Task, user: Speaker) -> Base:
    """The base after a short training, so that the start-up costs of a process's first training are not timed."""
    base = load_model_file(task.base_path)
    train_one(base, replace(user, adapt=user.adapt[:4]), replace(task, adapt=replace(task.adapt, num_epochs=1)))
    return base


def loop(task: Task, users: Sequence[Speaker], root: str) -> float:
    """Seconds of (b): one user after another in this process."""
    base = warm_base(task, users[0])
    ensure_base(Store(root), base, run_id="benchmark")
    started_s = time.perf_counter()
    for user in users:
        publish(root, base, user.user_id, train_one(base, user, task), task)
    return time.perf_counter() - started_s


def cohort_in_process(task: Task, users: Sequence[Speaker], root: str) -> float:
    """Seconds of (c) in this process: all users at once."""
    base = warm_base(task, users[0])
    ensure_base(Store(root), base, run_id="benchmark")
    started_s = time.perf_counter()
    cohort = {user.user_id: user.adapt for user in users}
    for result in results_of(adapt_cohort(base, cohort, task.adapter, task.adapt)):
        if result.fit is None:
            raise RuntimeError(f"{result.user_key} could not be trained: {result.reason}")
        publish(root, base, result.user_key, result.fit, task)
    return time.perf_counter() - started_s


def fleet_run(task: Task, users: Sequence[Speaker], root: str, cluster: ClusterConfig, workers: int) -> float:
    """Seconds of (c) end to end: a whole fleet run, from reading the users to the summary, in a store of its own."""
    from ds2ray.commands import adapt_users as adapt

    manifest = storage.join(root, "users.parquet")
    write_manifest(manifest, [u for user in users for u in user.adapt], audio_relative=False)
    job = AdaptJob(
        users=manifest,
        base=task.base_path,
        adapter=task.adapter,
        adapt=replace(task.adapt, max_concurrent_trials=workers),
        storage=StorageConfig(root=root),
        cluster=cluster,
    )
    started_s = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        code = adapt.run(job)
    if code:
        raise RuntimeError(f"the fleet run ended with exit code {code}: its outcomes are above")
    return time.perf_counter() - started_s


def trial_per_user(task: Task, users: Sequence[Speaker], root: str, cluster: ClusterConfig, workers: int) -> float:
    """Seconds of (a), from the first trial to the last: a Tune trial for every user, each in a fresh process."""
    from ray import tune

    from ds2ray.cluster.session import connected, quiet_tune

    ensure_base(Store(root), load_model_file(task.base_path), run_id="benchmark")
    with connected(cluster), quiet_tune(), tempfile.TemporaryDirectory() as tune_state_dir:
        trainable = tune.with_parameters(_one_user_trial(), task=task, users=users, root=root)
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={"user": tune.grid_search(list(range(len(users))))},
            tune_config=tune.TuneConfig(max_concurrent_trials=workers, reuse_actors=False),
            run_config=tune.RunConfig(
                name="trials",
                storage_path=tune_state_dir,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        )
        started_s = time.perf_counter()
        results = tuner.fit()
        seconds = time.perf_counter() - started_s
        if results.num_errors:
            raise RuntimeError(f"{results.num_errors} of {len(users)} trials failed: {results.errors[0]}")
    return seconds


def _one_user_trial() -> Any:
    from ray import tune

    class OneUserTrial(tune.Trainable):
        """Trains and publishes the user that its config names."""

        def setup(self, config: dict[str, Any], task: Task, users: Sequence[Speaker], root: str) -> None:  # type: ignore[override]  # with_parameters
            self.task, self.user, self.root = task, users[config["user"]], root

        def step(self) -> dict[str, Any]:
            # Ray sets one thread per CPU of the trial
            base = load_model_file(self.task.base_path)
            publish(self.root, base, self.user.user_id, train_one(base, self.user, self.task), self.task)
            return {"process": os.getpid(), "done": True}

    return OneUserTrial


def parts_of_the_loop(task: Task, user: Speaker) -> Parts:
    """Measure B and A of one user, in the batches of the plain loop."""
    base = load_model_file(task.base_path)
    base.model.freeze_base_model()
    train, held_out, seed = user.split(task.adapt)
    frames = num_frames(base, user)
    batches = [[train[place] for place in batch] for batch in _batches([frames[row] for row in train], task, seed)]
    batches += [held_out[start : start + 4 * task.adapt.batch_size] for start in range(0, len(held_out), 32)]
    _encode(base, user, batches[:1], task)  # start-up costs of a process's first call are no part of an epoch
    started_s = time.perf_counter()
    stored = _encode(base, user, batches, task)
    encode_s = time.perf_counter() - started_s

    speech = speech_of(base, user, task.adapt, [stored[row] for row in range(len(user.adapt))])

    def fit(epochs: int) -> float:
        adapter = fresh_adapter(base.model, task.adapter, speech.seed, "cpu")
        config = replace(task.adapt, num_epochs=epochs, patience_epochs=epochs)
        started_s = time.perf_counter()
        fit_plainly(base.model, adapter, speech, base.vocabulary, config, task.adapter.after_layer)
        return time.perf_counter() - started_s

    fit(1)
    return Parts(encode_s, fit(task.adapt.num_epochs) / task.adapt.num_epochs)


def _batches(frames: Sequence[int], task: Task, seed: int) -> list[list[int]]:
    return epoch_batches(frames, task.adapt.batch_size, 1, seed, 0)


@torch.no_grad()
def _encode(base: Base, user: Speaker, batches: Sequence[Sequence[int]], task: Task) -> dict[int, Tensor]:
    dataset = SpeechDataset(user.adapt, base.vocabulary, base.audio)
    stored = {}
    for rows in batches:
        batch = collate([dataset[row] for row in rows])
        features, lengths = base.model.features(batch.waveforms, batch.num_samples)
        encodings, lengths = base.model.trunk(features, lengths, task.adapter.after_layer)
        stored.update({row: encodings[place, : int(lengths[place])].clone() for place, row in enumerate(rows)})
    return stored
