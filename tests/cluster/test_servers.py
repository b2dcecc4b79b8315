"""Corpus and store on two S3 servers, and a cluster whose nodes know of neither but what they are sent."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from fleet_runs import ROOT, SETTINGS, TINY_TRAINING, RandomBase, run_job, run_job_here
from s3_corpus import USERS, copy_corpus
from s3_server import S3Server

from ds2ray import storage
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.model.stored import publish_base
from ds2ray.storage import Server
from ds2ray.store import Store, list_bases, read_adapter, read_pointer
from ds2ray.store.outcomes import Status, read_outcomes


@pytest.fixture(scope="module")
def lent_cluster(
    s3_server: S3Server, other_s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a running cluster whose processes find credentials in a file, and no address of a server."""
    credentials = tmp_path_factory.mktemp("node") / "aws-credentials"
    credentials.write_text(s3_server.profile("one") + other_s3_server.profile("two"))
    # how processes of Ray trust each other is the same for the cluster and for the jobs that this process starts
    kept = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH")}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RAY_"))} | kept
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/support/lent_cluster.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={
            **inherited,
            **s3_server.environment_without_server(str(credentials)),
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        },
    )
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["variables"] == []
        yield told["address"]
    finally:
        process.communicate()


def assert_adapted(store: Store, run_id: str) -> None:
    rows = read_outcomes(store, run_id)
    assert [(row.user_key, row.status) for row in rows] == [(user, Status.adapted) for user in USERS]
    for row in rows:
        pointer = read_pointer(store, row.user_key)
        assert pointer is not None
        assert pointer.version == row.version
        assert read_adapter(store, pointer)


def test_corpus_and_store_on_two_servers(
    s3_profiles: tuple[Server, Server], s3_server: S3Server, small_corpus: DemoCorpus, lent_cluster: str
) -> None:
    with_corpus, with_store = s3_profiles
    folder = s3_server.new_root()
    corpus, store = f"{folder}/corpus", Store(f"{folder}/store", with_store)
    with storage.using(with_corpus):
        copy_corpus(small_corpus, corpus)
    settings = [f"storage.root={store}", f"storage.endpoint_url={with_store.endpoint_url}", "storage.profile=two"]
    settings += [f"data.endpoint_url={with_corpus.endpoint_url}", "data.profile=one"]
    on_cluster = f"cluster.address={lent_cluster}"

    trained = run_job(
        *("train", *TINY_TRAINING, *settings, on_cluster, "cluster.num_workers=1"),
        *(f"train.manifest={corpus}/train.csv", f"train.valid_manifest={corpus}/valid.jsonl"),
        f"train.output_dir={folder}/outputs",
    )
    assert trained.code == 0, trained
    assert len(list_bases(store)) == 1

    adapted = run_job("adapt_users", f"{corpus}/users.parquet", "run_id=night", *settings, on_cluster, *SETTINGS)
    assert adapted.code == 0, adapted
    assert_adapted(store, "night")

    heard = run_job_here("transcribe", f"manifest={corpus}/test.csv", *settings)
    assert heard.code == 0, heard
    assert "4 with the speaker's adapter, 0 by the base alone, 0 not readable" in heard.out

    with storage.using(with_corpus):
        assert storage.exists(f"{folder}/outputs/model.pt")
        assert not storage.exists(store.root_uri)
    assert not storage.exists(corpus, with_store)


@pytest.mark.parametrize("by", ["settings", "environment"])
def test_a_server_that_only_the_driver_knows(
    by: str,
    s3_profiles: tuple[Server, Server],
    s3_server: S3Server,
    small_corpus: DemoCorpus,
    random_base: RandomBase,
    lent_cluster: str,
) -> None:
    server, _ = s3_profiles
    folder = s3_server.new_root()
    corpus, store = f"{folder}/corpus", Store(f"{folder}/store", server)
    with storage.using(server):
        copy_corpus(small_corpus, corpus)
    publish_base(store, random_base.base, run_id="random", metrics={})
    told = [f"storage.endpoint_url={server.endpoint_url}"] if by == "settings" else []
    environment = {} if by == "settings" else {"AWS_ENDPOINT_URL": server.endpoint_url}
    adapted = run_job(
        *("adapt_users", f"{corpus}/users.parquet", "run_id=night", f"storage.root={store}", "storage.profile=one"),
        *(*told, f"cluster.address={lent_cluster}", *SETTINGS),
        **environment,
    )
    assert adapted.code == 0, adapted
    assert_adapted(store, "night")
