"""A base that lies in another store."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from finished_run import finish_run
from fleet_runs import RandomBase, job_of, random_weights, spoken, write_users

from ds2ray import storage
from ds2ray.commands import adapt_users
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.errors import ConfigError, InputError
from ds2ray.model.stored import open_adapter, open_base, publish_base
from ds2ray.store import Store, list_bases, read_words_record


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


@pytest.mark.parametrize("refused", [{"max_changed_ratio": 0.5}, {"only": "nobody"}, {"anchor_manifest": "none.csv"}])
def test_a_refused_run_leaves_the_base_that_was_current(
    random_base: RandomBase, users: str, small_corpus: DemoCorpus, tmp_path: Path, refused: dict[str, Any]
) -> None:
    store = Store(str(tmp_path / "store"))
    publish_base(store, random_weights(small_corpus, seed=1), run_id="before", metrics={})
    finish_run(job_of(store.root_uri, users), "first")
    before = open_base(store).base_id
    header, *rows = Path(users).read_text().splitlines()
    Path(users).write_text("\n".join([f"{header},words", *(f"{row},tony" for row in rows)]) + "\n")
    job = job_of(store.root_uri, users, "run", **refused)
    with pytest.raises((ConfigError, InputError)):
        adapt_users.run(replace(job, base=f"{random_base.root}/bases/{random_base.base.base_id}"))
    assert (open_base(store).base_id, list_bases(store)) == (before, [before])
    assert read_words_record(store, "tony") is None
