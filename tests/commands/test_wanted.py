"""What is refused before anything starts: places that a base has not, bases of a newer release, damaged bases."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from damage import rewrite_record
from fleet_runs import AUDIO, ROOT, RandomBase, job_of, spoken
from fleet_runs import MODEL as SHAPE

from ds2ray import storage
from ds2ray.commands import adapt_users, sweep_adapters, train, transcribe
from ds2ray.config import (
    AdapterConfig,
    StorageConfig,
    SweepJob,
    TrainConfig,
    TrainJob,
    TranscribeJob,
    model_to_plain,
    to_plain,
)
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.errors import ArtifactCorruptError, ConfigError, Ds2RayError, InputError, NewerReleaseError
from ds2ray.store import Store
from ds2ray.store.layout import lease_uri

MODEL = str(ROOT / "tests" / "fixtures" / "stored" / "model.pt")
NO_PLACE = r"adapter\.after_layer=9 is not possible: the base has \d recurrent layers; use 0 to \d, or -1 for the last"
NOWHERE = AdapterConfig(after_layer=9)


@pytest.mark.parametrize("base", ["", MODEL])
def test_no_plan_for_a_place_that_the_base_has_not(
    base: str, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
) -> None:
    root = random_base.publish(str(tmp_path / "store"))
    job = replace(job_of(root, small_corpus.users_csv), base=base, adapter=NOWHERE)
    before = storage.list_objects(root, recursive=True)
    with pytest.raises(ConfigError, match=NO_PLACE) as caught:
        adapt_users.run(job)
    assert caught.value.exit_code == 2
    assert stored(root) == before


def stored(root: str) -> list[storage.ObjectInfo]:
    """Everything in a store but its lease."""
    return [info for info in storage.list_objects(root, recursive=True) if info.uri != lease_uri(Store(root))]


@pytest.mark.parametrize("base", ["", MODEL])
def test_no_sweep_over_a_place_that_the_base_has_not(
    base: str, random_base: RandomBase, small_corpus: DemoCorpus
) -> None:
    job = SweepJob(
        users=small_corpus.users_csv, base=base, adapter=NOWHERE, storage=StorageConfig(root=random_base.root)
    )
    with pytest.raises(ConfigError, match=NO_PLACE):
        sweep_adapters.run(job)


def test_no_single_adapter_in_a_place_that_the_base_has_not(small_corpus: DemoCorpus, tmp_path: Path) -> None:
    settings = TrainConfig(manifest=small_corpus.train_manifest, base_model_path=MODEL, adapter_name="ann")
    job = TrainJob(train=settings, adapter=NOWHERE, storage=StorageConfig(root=str(tmp_path)), dry_run=True)
    with pytest.raises(ConfigError, match=NO_PLACE):
        train.run(job)


@pytest.mark.parametrize("name", ["a/b", "a\tb", "x" * 300])
def test_a_name_that_is_no_file_s_or_user_s_is_refused_before_training(name: str, small_corpus: DemoCorpus) -> None:
    settings = TrainConfig(manifest=small_corpus.train_manifest, base_model_path=MODEL, adapter_name=name)
    with pytest.raises(InputError):
        train.run(TrainJob(train=settings, dry_run=True))


def changed_store(random_base: RandomBase, folder: Path, **changed: object) -> str:
    """A copy of the store, whose base's record has other values; returns its root."""
    root = str(folder / "store")
    shutil.copytree(random_base.root, root)
    uri = f"{root}/bases/{random_base.base.base_id}/base.json"
    rewrite_record(uri, changed)
    return root


def jobs_on(root: str, corpus: DemoCorpus, base: str = "") -> list[Callable[[], int]]:
    """Everything that starts from a base of a store, or from a model.pt; `transcribe` with and without a manifest."""
    place, users = StorageConfig(root=root), corpus.users_csv
    audio = [str(spoken(corpus)["tony"][0].audio)]
    return [
        lambda: adapt_users.run(replace(job_of(root, users), base=base)),
        lambda: adapt_users.run(replace(job_of(root, users, dry_run=True), base=base)),
        lambda: sweep_adapters.run(SweepJob(users=users, base=base, storage=place)),
        lambda: sweep_adapters.run(SweepJob(users=users, base=base, storage=place, dry_run=True)),
        lambda: transcribe.run(TranscribeJob(manifest=corpus.test_manifest, base=base, storage=place)),
        lambda: transcribe.run(TranscribeJob(audio=audio, base=base, storage=place)),
    ]


def check_all_refused(
    jobs: list[Callable[[], int]], root: str, error: type[Ds2RayError], match: str, code: int
) -> None:
    """Each job is refused, and leaves the store as it is, but for the lease that it took and gave back."""
    before = stored(root)
    for job in jobs:
        with pytest.raises(error, match=match) as caught:
            job()
        assert caught.value.exit_code == code
    assert stored(root) == before


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"fingerprint_version": 3}, "fingerprints of version 3 are not known"),
        ({"model": {**model_to_plain(SHAPE), "num_experts": 4}}, r"unknown field model\.num_experts"),
        ({"audio": {**to_plain(AUDIO), "dither": 0.5}}, r"unknown field audio\.dither"),
    ],
)
def test_a_base_of_a_newer_release_is_told_as_such(
    changed: dict[str, object], told: str, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
) -> None:
    root = changed_store(random_base, tmp_path, **changed)
    match = rf"bases/{random_base.base.base_id}/base\.json: {told}.* newer release of ds2ray; install that one"
    check_all_refused(jobs_on(root, small_corpus), root, NewerReleaseError, match, 2)


def test_a_model_file_of_a_newer_release_is_told_as_such(small_corpus: DemoCorpus, tmp_path: Path) -> None:
    newer, root = str(tmp_path / "newer.pt"), str(tmp_path / "store")
    torch.save({**torch.load(MODEL, weights_only=True), "fingerprint_version": 3}, newer)
    jobs = jobs_on(root, small_corpus, newer)
    tables = TrainConfig(manifest=small_corpus.train_manifest, valid_manifest=small_corpus.valid_manifest)
    for settings in (
        replace(tables, base_model_path=newer, adapter_name="ann"),
        replace(tables, pretrained_model_path=newer),
    ):
        jobs.append(partial(train.run, TrainJob(train=settings, storage=StorageConfig(root=root))))
    check_all_refused(
        jobs, root, NewerReleaseError, r"newer\.pt: fingerprints of version 3 are not known.*newer release", 2
    )


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (0, "its description is damaged, in fingerprint_version"),
        ("2", "impossible values: fingerprint_version='2'; restore it or publish again"),
        (None, "impossible values: fingerprint_version=None; restore it or publish again"),
        (True, "impossible values: fingerprint_version=True; restore it or publish again"),
    ],
)
def test_a_damaged_version_is_no_version(
    version: object, told: str, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
) -> None:
    root = changed_store(random_base, tmp_path, fingerprint_version=version)
    check_all_refused(jobs_on(root, small_corpus), root, ArtifactCorruptError, rf"base\.json: {told}", 5)


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"base_id": "0" * 16}, "belongs elsewhere: it has base_id"), ({"fingerprint": "0" * 64}, "describes base")],
)
def test_a_record_of_another_base_is_refused(
    changed: dict[str, object], told: str, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
) -> None:
    root = changed_store(random_base, tmp_path, **changed)
    check_all_refused(jobs_on(root, small_corpus), root, ArtifactCorruptError, rf"base\.json: {told}", 5)


@pytest.mark.parametrize("left", [None, 100])
def test_a_base_without_its_weights_is_refused(
    left: int | None, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
) -> None:
    root = changed_store(random_base, tmp_path)
    weights = Path(root) / "bases" / random_base.base.base_id / "model.safetensors"
    kept = weights.read_bytes()[:left]
    weights.unlink()
    if left is not None:
        weights.write_bytes(kept)
    told = "it was published, and is missing" if left is None else "100 bytes, published were"
    check_all_refused(jobs_on(root, small_corpus), root, ArtifactCorruptError, rf"model\.safetensors: {told}", 5)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"model": {**model_to_plain(SHAPE), "num_rnn_layers": 2}}, "does not fit: misses"),
        ({"audio": {**to_plain(AUDIO), "hop_s": 0.0125}}, "its weights have fingerprint"),
    ],
)
def test_a_base_whose_parts_do_not_belong_together_starts_no_run(
    changed: dict[str, object], told: str, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
) -> None:
    root = changed_store(random_base, tmp_path, **changed)
    match = f"base {random_base.base.base_id}.* {told}"
    check_all_refused(jobs_on(root, small_corpus)[:1], root, ArtifactCorruptError, match, 5)
