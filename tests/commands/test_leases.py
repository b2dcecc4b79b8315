"""What jobs do about a lease that another one holds: they end with 75 and change nothing."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fleet_runs import RandomBase, job_of, spoken, write_users
from train_jobs import make_job

from ds2ray import storage
from ds2ray.commands import adapt_users, train
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.errors import ConfigError, InterruptedRunError
from ds2ray.model.files import save_model_file
from ds2ray.store import Store, lease


@pytest.fixture
def users(small_corpus: DemoCorpus, tmp_path: Path) -> str:
    return write_users(str(tmp_path / "users.csv"), {"tony": spoken(small_corpus)["tony"]})


def a_folder(random_base: RandomBase, folder: Path) -> str:
    return f"{random_base.root}/bases/{random_base.base.base_id}"


def a_file(random_base: RandomBase, folder: Path) -> str:
    uri = str(folder / "other.pt")
    save_model_file(uri, random_base.base)
    return uri


@pytest.mark.parametrize("base", [a_folder, a_file])
def test_a_base_from_elsewhere_is_not_published_by_a_run_that_is_refused(
    random_base: RandomBase, users: str, tmp_path: Path, base: Callable[[RandomBase, Path], str]
) -> None:
    store = Store(str(tmp_path / "store"))
    job = replace(job_of(store.root_uri, users, "run"), base=base(random_base, tmp_path))
    with lease.held(store, "other"):
        before = storage.list_objects(store.root_uri, recursive=True)
        with pytest.raises(InterruptedRunError, match="run other"):
            adapt_users.run(job)
        assert storage.list_objects(store.root_uri, recursive=True) == before


@pytest.mark.parametrize("run_id", ["night/7", "../../x", "a\tb", " ", "x" * 300])
@pytest.mark.parametrize("dry_run", [False, True])
def test_what_is_no_run_id_is_refused(
    random_base: RandomBase, users: str, tmp_path: Path, run_id: str, dry_run: bool
) -> None:
    root = random_base.publish(str(tmp_path / "store"))
    before = storage.list_objects(str(tmp_path), recursive=True)
    with pytest.raises(ConfigError, match="run_id="):
        adapt_users.run(job_of(root, users, run_id, dry_run=dry_run))
    assert storage.list_objects(str(tmp_path), recursive=True) == before


def test_two_trainings_of_one_folder_are_refused(tmp_path: Path) -> None:
    job = make_job(tmp_path, num_workers=0)
    folder = Store(job.train.output_dir)
    with lease.kept(folder, "train", ttl_s=0.4) as hold:
        before = hold.lasts_until_s
        with pytest.raises(InterruptedRunError, match="run train on"):
            train.run(job)
        assert [info.uri for info in storage.list_objects(folder.root_uri, recursive=True)] == [hold.fence.lease_uri]
        while hold.lasts_until_s == before:  # the thread renews it
            time.sleep(0.01)
    assert lease.read_lease(folder) is None
