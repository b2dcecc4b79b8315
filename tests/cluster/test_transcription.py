"""Recognition on Ray: parts that are as those of one process, whatever workers die."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dying_worker
import pytest
import ray
from fleet_runs import RandomBase
from recognising import publish_random_adapter
from toy_speech import make_utterances

from ds2ray import Transcriber, storage
from ds2ray.cluster import transcription
from ds2ray.commands import transcribe
from ds2ray.config import ClusterConfig, SpreadConfig, StorageConfig, TranscribeJob, Vad
from ds2ray.errors import InterruptedRunError
from ds2ray.recognition.parts import ManifestPart
from ds2ray.storage import current_server
from ds2ray.store import Store, user_key
from ds2ray.store.keys import SALT_VARIABLE
from ds2ray.tables.manifest import read_manifest, write_manifest

NUM_PARTS = 6


@pytest.fixture
def job(ray_cluster: str, random_base: RandomBase, tmp_path: Path) -> TranscribeJob:
    """A manifest of six parts, to be recognised by two processes."""
    root = random_base.publish(str(tmp_path / "store"))
    publish_random_adapter(root, random_base.base, "ann")
    (tmp_path / "audio").mkdir()
    rows = [
        replace(u, user_id=user)
        for u, user in zip(
            make_utterances(tmp_path / "audio", NUM_PARTS, seed=0), ["ann", "bob"] * NUM_PARTS, strict=False
        )
    ]
    write_manifest(str(tmp_path / "m.csv"), rows)
    return TranscribeJob(
        manifest=str(tmp_path / "m.csv"),
        output=str(tmp_path / "heard/"),
        vad=Vad.off,
        storage=StorageConfig(root=root),
        spread=SpreadConfig(from_s=0.0, part_s=0.01, cpus_per_worker=1.0, max_attempts=2),
        cluster=ClusterConfig(address="local"),
    )


def test_actors_are_given_keys_and_no_salt(
    random_base: RandomBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SALT_VARIABLE, "a secret")
    root = random_base.publish(str(tmp_path / "store"))
    publish_random_adapter(root, random_base.base, user_key("ann"))
    rows = [
        replace(u, user_id=user)
        for u, user in zip(make_utterances(tmp_path, 3, seed=0), ["ann", "bob", "\n"], strict=True)
    ]
    keys = transcription.keys_of(rows)
    assert keys == {"ann": user_key("ann"), "bob": user_key("bob")}
    shared = transcription.Shared(
        TranscribeJob(vad=Vad.off), Store(root), current_server(), str(tmp_path / "heard"), gpus=0.0
    )
    assert b"a secret" not in ray.cloudpickle.dumps((shared, rows, keys))

    monkeypatch.setenv(SALT_VARIABLE, "that of another node")
    monkeypatch.setattr(transcription, "end_at_sigterm", lambda: None)
    transcription.PartWorker(shared).work(ManifestPart(0, 0, 3, 1.0), rows, keys)
    heard = storage.read_table(str(tmp_path / "heard" / "part-000000.parquet")).to_pylist()
    assert [row["user_id"] for row in heard] == ["ann", "bob", "\n"]
    assert [bool(row["adapter"]) for row in heard] == [True, False, False]
    assert [row["note"] for row in heard[1:]] == [
        "user bob has no adapter",
        "user id '\\n' is empty; every user needs an id",
    ]


def test_parts_are_done_once_whatever_workers_die(
    job: TranscribeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ray.cloudpickle.register_pickle_by_value(dying_worker)  # Ray's workers do not find the modules of tests
    on_ray: Callable[..., dict[int, str]] = transcription.recognise_on_ray
    with monkeypatch.context() as dying:
        dying.setattr(transcription, "recognise_on_ray", functools.partial(on_ray, worker=dying_worker.DyingWorker))
        with pytest.raises(InterruptedRunError, match="2 of 6 parts could not be recognised") as stopped:
            transcribe.run(replace(job, output=str(tmp_path / "heard") + "/"))
    assert "part-000002: its process crashed, was killed, or ran out of memory" in str(stopped.value)
    assert "part-000003: RuntimeError: a defect" in str(stopped.value)
    assert "part-000001.parquet is begun again" in capsys.readouterr().out
    folder = tmp_path / "heard"
    parts = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}
    assert sorted(parts) == [f"part-00000{number}.parquet" for number in (0, 1, 4, 5)]

    # what is left is little: it is done here, without Ray, and nothing else is
    again = replace(job, output=f"{folder}/", spread=replace(job.spread, from_s=3600.0))
    assert transcribe.run(again) == 0
    assert "4 of 6 parts are there already" in capsys.readouterr().out
    assert {name: (folder / name).stat().st_mtime_ns for name in parts} == parts
    names = sorted(path.name for path in folder.glob("*.parquet"))
    rows = [row for name in names for row in storage.read_table(str(folder / name)).to_pylist()]
    expected = Transcriber.open(job.storage.root, vad="off").transcribe_utterances(
        read_manifest(job.manifest).utterances
    )
    assert [row["utterance_id"] for row in rows] == [h.utterance_id for h in expected]
    assert [(row["text"], row["adapter"], row["words"]) for row in rows] == [
        (h.text, h.adapter, h.to_row()["words"]) for h in expected
    ]
