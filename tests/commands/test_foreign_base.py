"""A base that lies in another store."""

from dataclasses import replace
from pathlib import Path

import pytest
from fleet_runs import RandomBase, job_of, spoken, write_users

from ds2ray import storage
from ds2ray.commands import adapt_users
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.errors import InputError
from ds2ray.model.stored import open_adapter, open_base
from ds2ray.store import Store, list_bases


@pytest.fixture
def users(small_corpus: DemoCorpus, tmp_path: Path) -> str:
    return write_users(str(tmp_path / "users.csv"), {"tony": spoken(small_corpus)["tony"]})


def test_it_is_published_beside_the_adapters(
    ray_cluster: str, random_base: RandomBase, users: str, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "store"))
    folder_uri = f"{random_base.root}/bases/{random_base.base.base_id}"
    job = replace(job_of(store.root_uri, users, "run"), base=folder_uri)
    assert adapt_users.run(job) == 0
    opened = open_base(store)
    assert opened.fingerprint == random_base.base.fingerprint
    assert open_adapter(store, "tony", opened) is not None
    assert adapt_users.run(replace(job, run_id="again")) == 0
    assert list_bases(store) == [opened.base_id]


def test_a_wrong_table_leaves_the_store_alone(random_base: RandomBase, tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    job = job_of(root, str(tmp_path / "none.csv"))
    with pytest.raises(InputError, match=r"none\.csv"):
        adapt_users.run(replace(job, base=f"{random_base.root}/bases/{random_base.base.base_id}"))
    assert storage.list_objects(root, recursive=True) == []


def test_a_dry_run_leaves_the_store_alone(random_base: RandomBase, users: str, tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    job = job_of(root, users, dry_run=True)
    assert adapt_users.run(replace(job, base=f"{random_base.root}/bases/{random_base.base.base_id}")) == 0
    assert storage.list_objects(root, recursive=True) == []
