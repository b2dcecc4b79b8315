"""Nights of a fleet whose users are told by a version in the users table, not by their manifests."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from fleet_runs import RandomBase, adapt_users, job_of, spoken

from ds2ray import storage
from ds2ray.commands import adapt_users as adapt
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.store import Store, read_pointer
from ds2ray.store.index import read_index
from ds2ray.store.outcomes import Status, read_outcomes
from ds2ray.tables.manifest import Utterance, write_manifest


def pack(folder: Path, user: str, utterances: Sequence[Utterance]) -> None:
    """A pack: one Parquet file with the audio itself."""
    rows = [replace(u, audio=storage.read_bytes(str(u.audio))) if isinstance(u.audio, str) else u for u in utterances]
    write_manifest(str(folder / f"{user}.parquet"), rows)


def sealed_users(uri: str, versions: Mapping[str, str]) -> str:
    """A table of these users, all with as much speech."""
    columns = {
        "user_id": list(versions),
        "manifest": [f"packed/{user}.parquet" for user in versions],
        "version": list(versions.values()),
        "speech_s": [10.0] * len(versions),
        "num_utterances": [6] * len(versions),
    }
    storage.write_table(uri, pa.table(columns))
    return uri


def test_nights_of_a_sealed_fleet(
    ray_cluster: str,
    random_base: RandomBase,
    small_corpus: DemoCorpus,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = random_base.publish(str(tmp_path / "store"))
    packed, speech = tmp_path / "packed", spoken(small_corpus)
    packed.mkdir()
    silent = replace(speech["tony"][0], utterance_id="silent", audio=b"")
    for user in ("fiona", "gary", "hank"):
        pack(packed, user, speech[user])
    pack(packed, "tony", [*speech["tony"], silent])
    (packed / "torn.parquet").write_bytes((packed / "tony.parquet").read_bytes()[:1000])
    versions = dict.fromkeys(("tony", "torn", "fiona", "lost", "gary", "hank"), "1")

    # the first night trains everybody; two manifests are no use, and say so
    users = sealed_users(str(tmp_path / "users.parquet"), versions)
    code, first = adapt_users(root, users, "first", max_failed_ratio=0.5)
    assert code == 0
    assert {user: row.status.value for user, row in first.items()} == {
        **dict.fromkeys(("fiona", "gary", "hank", "tony"), "adapted"),
        **dict.fromkeys(("lost", "torn"), "failed"),
    }
    assert first["lost"].reason.startswith("its manifest cannot be read: ")
    assert "lost.parquet: there is no such file" in first["lost"].reason
    assert "torn.parquet: not a readable Parquet table" in first["torn"].reason
    assert (first["tony"].utterances_used, first["tony"].utterances_dropped) == (6, 1)
    assert first["tony"].reason == "left out: 1 × audio holds no bytes"
    assert (first["fiona"].utterances_used, first["fiona"].reason) == (6, "")

    # the second night only those whose version has changed or who failed; the speech of the others is gone for good
    for user in ("fiona", "hank", "tony"):
        os.remove(packed / f"{user}.parquet")
    pack(packed, "gary", [replace(speech["gary"][0], transcript="buy tea"), *speech["gary"][1:]])
    pack(packed, "torn", [replace(u, user_id="") for u in speech["grace"]])
    without_hank = {user: version for user, version in versions.items() if user != "hank"}
    users = sealed_users(str(tmp_path / "users.parquet"), without_hank | {"gary": "2"})
    code, second = adapt_users(root, users, "second")
    assert code == 3
    assert set(second) == {"gary", "lost", "torn"}
    assert second["lost"].status is Status.failed
    assert {second[user].utterances_used for user in ("gary", "torn")} == {6}  # whatever the gate said of them
    rows = read_outcomes(Store(root), "second")
    assert [row.user_key for row in rows] == sorted(without_hank)
    assert {row.user_key for row in rows if row.status is Status.unchanged} == {"fiona", "tony"}
    summary = storage.read_json(f"{root}/runs/second/summary.json")
    assert (summary["users"], summary["statuses"]["unchanged"], summary["trained"]) == (5, 2, 2)
    plan = storage.read_table(f"{root}/runs/second/plan.parquet").to_pydict()
    assert dict(zip(plan["user_key"], plan["change"], strict=True)) == {
        **dict.fromkeys(("gary", "lost", "torn"), "changed"),
        **dict.fromkeys(("fiona", "tony"), "unchanged"),
    }

    # who vanished has kept the adapter, and is unchanged on coming back
    hank, index = read_pointer(Store(root), "hank"), read_index(Store(root))
    assert hank is not None
    assert (index["hank"].version, index["hank"].run_id) == (hank.version, "first")
    assert (index["gary"].run_id, index["fiona"].run_id) == ("second", "first")
    users = sealed_users(str(tmp_path / "users.parquet"), versions | {"gary": "2"})
    assert adapt.run(job_of(root, users, dry_run=True)) == 0
    assert "6 users, 1.0 min of speech\n  0 new · 1 changed · 5 unchanged · 0 skipped" in capsys.readouterr().out
