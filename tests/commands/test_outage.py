"""A fleet run whose store stops answering for good."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faulty_proxy import faulty_proxy
from fleet_runs import RandomBase, job_of, spoken, write_users
from s3_server import S3Server

from ds2ray import storage
from ds2ray.commands import adapt_users as adapt
from ds2ray.config import AdaptJob, StorageConfig
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.errors import StorageError
from ds2ray.store import Store
from ds2ray.store.layout import lease_uri
from ds2ray.store.outcomes import Status, read_outcomes


def test_the_summary_is_kept_here_and_the_next_run_takes_over(
    s3_server: S3Server,
    s3_root: str,
    random_base: RandomBase,
    small_corpus: DemoCorpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    random_base.publish(s3_root)
    users = write_users(str(tmp_path / "users.csv"), {"tony": spoken(small_corpus)["tony"]})

    def job(run_id: str, server: str, outage_s: float) -> AdaptJob:
        changed = job_of(s3_root, users, run_id, min_utterances=100)  # too few to train: no Ray is needed
        return replace(changed, storage=StorageConfig(root=s3_root, endpoint_url=server, outage_s=outage_s))

    with faulty_proxy(s3_server.endpoint_url) as proxy:
        settle = adapt.settle

        def settle_and_go_down(*args: Any, **options: Any) -> Any:
            proxy.down = True
            return settle(*args, **options)

        monkeypatch.setattr(adapt, "settle", settle_and_go_down)
        with pytest.raises(StorageError) as stopped:
            adapt.run(job("first", proxy.endpoint_url, 1))
        assert stopped.value.exit_code == 5
        proxy.down = False
        monkeypatch.undo()
        for name, value in s3_server.environment().items():
            monkeypatch.setenv(name, value)
        kept = tmp_path / "ds2ray-first-summary.json"
        assert f"kept in {kept}; the next run goes on" in capsys.readouterr().out
        summary = storage.read_json(str(kept))
        assert (summary["run_id"], summary["exit_code"], summary["interrupted"], summary["users"]) == (
            "first",
            5,
            True,
            1,
        )

        storage.delete(lease_uri(Store(s3_root)))  # its process has ended
        assert adapt.run(job("second", proxy.endpoint_url, 30)) == 3
    assert "took over the outcomes of run first" in capsys.readouterr().out
    assert [(row.user_key, row.status) for row in read_outcomes(Store(s3_root), "second")] == [
        ("tony", Status.skipped_no_data)
    ]
    assert not os.path.exists(tmp_path / "ds2ray-second-summary.json")
