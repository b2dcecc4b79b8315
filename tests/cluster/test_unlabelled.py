"""Nights of a fleet some of whose speech has no transcript: it is learned from, told, and decides who has changed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fleet_runs import adapt_users, job_of, spoken, write_users

from ds2ray import storage
from ds2ray.commands import adapt_users as adapt
from ds2ray.commands import language_model
from ds2ray.config import DataConfig, LanguageModelJob, StorageConfig
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.model.stored import publish_base
from ds2ray.model.weights import Base
from ds2ray.store import Store
from ds2ray.store.outcomes import Outcome, read_outcomes


def night(root: str, users: str, run_id: str, **changed: Any) -> dict[str, Outcome]:
    job = replace(job_of(root, users, run_id, **changed), data=DataConfig(unlabelled=True))
    assert adapt.run(job) == 0
    return {outcome.user_key: outcome for outcome in read_outcomes(Store(root), run_id)}


def test_speech_without_transcripts(
    ray_cluster: str,
    spoken_base: Base,
    small_corpus: DemoCorpus,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = str(tmp_path / "store")
    publish_base(Store(root), spoken_base, "base", {})
    users = write_users(str(tmp_path / "users.csv"), spoken(small_corpus))
    job = replace(job_of(root, users, dry_run=True), data=DataConfig(unlabelled=True))
    assert adapt.run(job) == 0
    assert "the base has no language model and no calibration, so that little of it" in capsys.readouterr().out
    texts = [small_corpus.train_manifest]
    language_model.run(LanguageModelJob(texts=texts, storage=StorageConfig(root=root)))
    speech = spoken(small_corpus)
    fleet = {user: speech[user] for user in ("fiona", "gary")}
    fleet["fiona"] = [*fleet["fiona"][:4], *(replace(one, transcript="") for one in fleet["fiona"][4:])]
    users = write_users(str(tmp_path / "users.csv"), fleet)
    given = len(speech["fiona"])

    # without the setting such rows are unusable, as ever
    code, plain = adapt_users(root, users, "plain")
    assert code == 0
    assert (plain["fiona"].utterances_used, plain["fiona"].utterances_dropped) == (4, given - 4)
    assert "transcript is empty" in capsys.readouterr().out

    # with it the one user who has some is trained again, and the other is not
    first = night(root, users, "first", unlabelled_confidence=0.01)
    assert (first["fiona"].utterances_used, first["fiona"].utterances_heard) == (4, given - 4)
    assert first["fiona"].utterances_dropped == 0
    assert [first[user].status.value == "unchanged" for user in ("fiona", "gary")] == [False, True]
    told = capsys.readouterr().out
    assert f"without a transcript, of which what is surely recognised is learned from: {given - 4}" in told
    assert "the base has no calibration, so that" in told

    # what is not sure enough is told; nothing has changed in a third night
    second = night(root, users, "second", unlabelled_confidence=1.0)
    assert (second["fiona"].utterances_heard, second["fiona"].utterances_dropped) == (0, given - 4)
    assert f"{given - 4} × has no transcript, and no passage of it was recognised" in second["fiona"].reason
    third = night(root, users, "third", unlabelled_confidence=1.0)
    assert {outcome.status.value for outcome in third.values()} == {"unchanged"}
    assert storage.read_json(f"{root}/runs/third/summary.json")["trained"] == 0
