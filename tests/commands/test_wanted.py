"""What is refused in the plan: places that a base has not, and bases of a newer release."""

import shutil
from pathlib import Path

import pytest
from fleet_runs import ROOT, RandomBase, job_of

from ds2ray import storage
from ds2ray.commands import adapt_users, sweep_adapters, train, transcribe
from ds2ray.config import AdapterConfig, StorageConfig, SweepJob, TrainConfig, TrainJob, TranscribeJob
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.errors import ConfigError, InputError, NewerReleaseError

MODEL = str(ROOT / "tests" / "fixtures" / "stored" / "model.pt")
NO_PLACE = r"adapter\.after_layer=9 is not possible: the base has \d recurrent layers; use 0 to \d, or -1 for the last"
NOWHERE = AdapterConfig(after_layer=9)


@pytest.mark.parametrize("base", ["", MODEL])
def test_no_plan_for_a_place_that_the_base_has_not(
    base: str, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
) -> None:
    root = random_base.publish(str(tmp_path / "store"))
    job = job_of(root, small_corpus.users_csv)
    job.base, job.adapter = base, NOWHERE
    before = storage.list_objects(root, recursive=True)
    with pytest.raises(ConfigError, match=NO_PLACE) as caught:
        adapt_users.run(job)
    assert caught.value.exit_code == 2
    assert storage.list_objects(root, recursive=True) == before


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


def test_a_base_of_a_newer_release_is_told_as_such(
    random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
) -> None:
    root = str(tmp_path / "store")
    shutil.copytree(random_base.root, root)
    uri = f"{root}/bases/{random_base.base.base_id}/base.json"
    record = storage.read_json(uri)
    record["model"]["num_experts"] = 4
    storage.write_json(uri, record)
    expected = rf"bases/{random_base.base.base_id}/base\.json: unknown field model\.num_experts"
    with pytest.raises(NewerReleaseError, match=expected) as caught:
        adapt_users.run(job_of(root, small_corpus.users_csv, dry_run=True))
    assert caught.value.exit_code == 2
    with pytest.raises(NewerReleaseError, match=expected):
        transcribe.run(TranscribeJob(manifest=small_corpus.test_manifest, storage=StorageConfig(root=root)))
