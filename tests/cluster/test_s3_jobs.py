"""Base, fleet run and recognition with everything in a bucket, against a real S3 server."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_runs import SETTINGS, TINY_TRAINING, run_job, run_job_here
from s3_corpus import USERS, copy_corpus
from s3_server import S3Server

from benchmarks.chaos.leaks import leaks
from ds2ray import storage
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.store import Store, list_bases, read_adapter, read_base, read_pointer
from ds2ray.store.outcomes import Status, read_outcomes

pytestmark = [pytest.mark.process, pytest.mark.ray]


@pytest.fixture
def ray_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder for the files of Ray."""
    with tempfile.TemporaryDirectory(prefix="ds2ray-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield Path(folder)


def assert_private(ray_folder: Path) -> None:
    """Nobody else can read what a cluster of the job's own has left behind."""
    (closed,) = ray_folder.iterdir()
    assert closed.stat().st_mode & 0o777 == 0o700
    files = [path for path in closed.rglob("*") if path.is_file() and not path.is_symlink()]
    assert "runtime_env_agent.log" in {path.name for path in files}
    # what Tune writes in the job's own process has the job's rights, within the closed folder
    of_ray = [path for path in files if path.parent.name != "driver_artifacts"]
    assert [path for path in of_ray if path.stat().st_mode & 0o077] == []


def test_all_three_jobs_work_in_a_bucket(
    s3_root: str, s3_server: S3Server, small_corpus: DemoCorpus, ray_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    (base_id,) = list_bases(Store(root))
    assert read_base(Store(root))[0].base_id == base_id

    # storage is named by the preset and the environment, as a cluster's nodes do
    argv = [f"users={corpus}/users.parquet", "storage=s3", "cluster.address=local", *SETTINGS]
    adapted = run_job("adapt_users", *argv, "run_id=night", DS2RAY_STORAGE_ROOT=root)
    assert adapted.code == 0, adapted
    assert_private(ray_folder)
    assert leaks([ray_folder], {"secret": s3_server.secret_key}) == []
    rows = read_outcomes(Store(root), "night")
    assert [(row.user_key, row.status) for row in rows] == [(user, Status.adapted) for user in USERS]
    for row in rows:
        pointer = read_pointer(Store(root), row.user_key)
        assert pointer is not None
        assert (pointer.version, pointer.base_fingerprint[:16]) == (row.version, base_id)
        assert read_adapter(Store(root), pointer)

    monkeypatch.setenv("DS2RAY_STORAGE_ROOT", root)
    again = run_job_here("adapt_users", *argv)
    assert (again.code, "all 2 users unchanged: nothing to do" in again.out) == (0, True), again

    output = f"{s3_root}/outputs/hypotheses.jsonl"
    heard = run_job_here("transcribe", f"manifest={corpus}/test.csv", f"storage.root={root}", f"output={output}")
    assert heard.code == 0, heard
    assert "4 with the speaker's adapter, 0 by the base alone, 0 not readable" in heard.out
    hypotheses = [json.loads(line) for line in storage.read_bytes(output).decode().splitlines()]
    versions = {row.user_key: row.version for row in rows}
    assert [(h["user_id"], h["adapter"]) for h in hypotheses] == [(u, versions[u]) for u in USERS for _ in range(2)]
