"""A run of people with a salt and of credentials in the environment: nothing that it leaves behind tells of them."""

import json
import os
import pickle
import secrets
from pathlib import Path
from typing import Any

import pytest
import torch
from fleet_runs import changed_outcomes, job_of
from ray.tune.execution import class_cache
from toy_fleet import silent_base
from toy_speech import make_utterances

from benchmarks.chaos.leaks import leaks
from ds2ray.cluster.privacy import without_credentials
from ds2ray.commands import adapt_users, sweep_adapters
from ds2ray.config import AdaptConfig, AdapterConfig, ClusterConfig, StorageConfig, SweepConfig, SweepJob
from ds2ray.store import user_key
from ds2ray.store.outcomes import Status

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
KINDS = ("good", "bytes", "missing", "gone", "sealed")


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Texts that nobody else has, by what they are; credentials and the salt are in the environment."""
    found = {f"id of {kind}": f"person-{secrets.token_hex(8)}" for kind in KINDS}
    found["transcript"] = " ".join(
        "".join(secrets.choice(("abcd", "dcba", "bdac")) for _ in range(3)) for _ in range(3)
    )
    found |= {name: secrets.token_hex(20) for name in (*CREDENTIALS, "DS2RAY_USER_KEY_SALT")}
    for name in (*CREDENTIALS, "DS2RAY_USER_KEY_SALT"):
        monkeypatch.setenv(name, found[name])
    return found


def write_people(folder: Path, planted: dict[str, str]) -> str:
    """A users table of one person for each kind of speech, good and bad, below folders with their names."""
    rows = []
    for kind in KINDS:
        person = planted[f"id of {kind}"]
        own = folder / person
        own.mkdir(parents=True)
        speech = make_utterances(own, 5)
        if kind == "bytes":
            for u in speech:
                Path(str(u.audio)).write_bytes(b"no audio")
        audio = [str(u.audio) if kind != "missing" else f"{own}/{n}.wav" for n, u in enumerate(speech)]
        texts = [u.transcript for u in speech[:4]] + [planted["transcript"]]
        lines = [
            {"utterance_id": f"{person}-{n}", "audio": uri, "duration_s": 1.5, "transcript": text}
            for n, (uri, text) in enumerate(zip(audio, texts, strict=True))
        ]
        if kind not in ("gone", "sealed"):
            (own / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        sealed = {"version": "1", "speech_s": 7.5, "num_utterances": 5} if kind == "sealed" else {}
        rows.append({"user_id": person, "manifest": f"{person}/manifest.jsonl", **sealed})
    (folder / "users.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / "users.jsonl")


def test_nothing_is_left_that_says_who_they_are(
    ray_cluster: str,
    planted: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    users = write_people(tmp_path / "data", planted)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    unpickled: list[Any] = []
    monkeypatch.setattr(torch, "load", lambda *args, **named: unpickled.append(args))
    root = silent_base(str(tmp_path / "store")).root
    # whoever loads pickles would run this
    for name in ("index/users.pkl", "runs/night/plan.pkl"):
        Path(root, name).parent.mkdir(parents=True, exist_ok=True)
        Path(root, name).write_bytes(pickle.dumps(unpickled))
    assert adapt_users.run(job_of(root, users, "night", max_failed_ratio=0.9, num_epochs=1)) == 0
    rows = changed_outcomes(root, "night")
    assert {kind: rows[user_key(planted[f"id of {kind}"])].status for kind in KINDS} == {
        "good": Status.adapted,
        "bytes": Status.skipped_no_data,
        "missing": Status.skipped_no_data,
        "gone": Status.skipped_no_data,
        "sealed": Status.failed,
    }
    assert "there is no such file" in rows[user_key(planted["id of sealed"])].reason
    sweep = SweepJob(
        users=users,
        sweep=SweepConfig(num_users=5, hidden_dims=[[4]], output_dir=str(tmp_path / "sweep")),
        adapter=AdapterConfig(after_layer=-1),
        adapt=AdaptConfig(num_epochs=1, cross_validate_below=0),
        storage=StorageConfig(root=root),
        cluster=ClusterConfig(address="local"),
    )
    assert sweep_adapters.run(sweep) == 0
    printed = capfd.readouterr()
    (work / "printed").write_text(printed.out + printed.err)
    assert unpickled == []
    places = [Path(root), work, tmp_path / "sweep", Path(os.environ["RAY_TMPDIR"])]
    assert leaks(places, planted) == []


def test_tune_hands_no_credentials_over(planted: dict[str, str]) -> None:
    before = class_cache.ENV_VARS_TO_PROPAGATE
    assert set(CREDENTIALS) <= before
    with without_credentials():
        assert not set(CREDENTIALS) & class_cache.ENV_VARS_TO_PROPAGATE
        # what Ray itself needs still reaches the trials
        assert {name for name in before if name.startswith("RAY_")} <= class_cache.ENV_VARS_TO_PROPAGATE
    assert class_cache.ENV_VARS_TO_PROPAGATE is before
