"""Base, fleet run and recognition with everything in a bucket, against a real S3 server."""

import json
from dataclasses import replace

import pytest
from fleet_runs import SETTINGS, TINY_TRAINING, run_job, run_job_here, spoken

from ds2ray import storage
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.store import list_bases, read_adapter, read_base, read_pointer
from ds2ray.store.outcomes import Status, read_outcomes
from ds2ray.tables.manifest import Utterance, read_manifest, write_manifest

pytestmark = [pytest.mark.process, pytest.mark.ray]

USERS = ("fiona", "tony")


def copy_corpus(corpus: DemoCorpus, folder: str) -> None:
    """Copy what the base and two users need; manifests name the audio relative to themselves."""

    def moved(utterance: Utterance) -> Utterance:
        assert isinstance(utterance.audio, str)
        uri = storage.join(folder, "audio", utterance.audio.rpartition("/")[2])
        storage.write_bytes(uri, storage.read_bytes(utterance.audio))
        return replace(utterance, audio=uri)

    tests = [u for u in read_manifest(corpus.test_manifest).utterances if u.user_id in USERS]
    parts = {
        "train.csv": read_manifest(corpus.train_manifest).utterances,
        "valid.jsonl": read_manifest(corpus.valid_manifest).utterances,
        "users.parquet": [u for user in USERS for u in spoken(corpus)[user]],
        "test.csv": tests,
    }
    for name, utterances in parts.items():
        write_manifest(storage.join(folder, name), [moved(utterance) for utterance in utterances])


def test_all_three_jobs_work_in_a_bucket(s3_root: str, small_corpus: DemoCorpus) -> None:
    corpus, root = storage.join(s3_root, "corpus"), storage.join(s3_root, "store")
    copy_corpus(small_corpus, corpus)

    trained = run_job_here(
        "train",
        *TINY_TRAINING,
        *(f"train.manifest={corpus}/train.csv", f"train.valid_manifest={corpus}/valid.jsonl"),
        *(f"train.output_dir={s3_root}/outputs", f"storage.root={root}", "cluster.num_workers=0"),
    )
    assert trained.code == 0, trained
    assert storage.exists(f"{s3_root}/outputs/model.pt")
    (base_id,) = list_bases(root)
    assert read_base(root)[0].base_id == base_id

    # storage is named by the preset and the environment, as a cluster's nodes do
    argv = [f"users={corpus}/users.parquet", "storage=s3", "cluster.address=local", *SETTINGS]
    adapted = run_job("adapt_users", *argv, "run_id=night", DS2RAY_STORAGE_ROOT=root)
    assert adapted.code == 0, adapted
    rows = read_outcomes(root, "night")
    assert [(row.user_key, row.status) for row in rows] == [(user, Status.adapted) for user in USERS]
    for row in rows:
        pointer = read_pointer(root, row.user_key)
        assert pointer is not None
        assert (pointer.version, pointer.base_fingerprint[:16]) == (row.version, base_id)
        assert read_adapter(root, pointer)

    again = run_job("adapt_users", *argv, DS2RAY_STORAGE_ROOT=root)
    assert (again.code, "all 2 users unchanged: nothing to do" in again.out) == (0, True), again

    output = f"{s3_root}/outputs/hypotheses.jsonl"
    heard = run_job_here("transcribe", f"manifest={corpus}/test.csv", f"storage.root={root}", f"output={output}")
    assert heard.code == 0, heard
    assert "4 with the speaker's adapter, 0 by the base alone, 0 not readable" in heard.out
    hypotheses = [json.loads(line) for line in storage.read_bytes(output).decode().splitlines()]
    versions = {row.user_key: row.version for row in rows}
    assert [(h["user_id"], h["adapter"]) for h in hypotheses] == [(u, versions[u]) for u in USERS for _ in range(2)]
