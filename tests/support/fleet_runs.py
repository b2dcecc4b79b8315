"""Fleet runs for tests: a base that is good for nothing but quick, users in many forms, and runs of the jobs."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from warm_jobs import WarmJob

from ds2ray import storage
from ds2ray.commandline import start
from ds2ray.commands import adapt_users as adapt
from ds2ray.config import (
    AdaptConfig,
    AdapterConfig,
    AdaptJob,
    AudioConfig,
    ClusterConfig,
    ModelConfig,
    ReportConfig,
    StorageConfig,
    TextConfig,
)
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.model.stored import publish_base
from ds2ray.model.weights import Base
from ds2ray.store import Store
from ds2ray.store.outcomes import Outcome, Status, read_outcomes
from ds2ray.tables.manifest import Utterance, read_manifest, write_manifest
from ds2ray.text import Vocabulary

ROOT = Path(__file__).resolve().parents[2]
AUDIO = AudioConfig(num_mels=16)
MODEL = ModelConfig(conv_channels=4, num_rnn_layers=1, rnn_hidden_dim=24)
ADAPTER = AdapterConfig(hidden_dims=[8], after_layer=-1)
ADAPT = AdaptConfig(num_epochs=3, max_concurrent_trials=1, cross_validate_below=0, gate_confidence=0.0)
SETTINGS = (
    "adapter.hidden_dims=[8]",
    "adapter.after_layer=-1",
    "adapt.num_epochs=3",
    "adapt.max_concurrent_trials=1",
    "adapt.cross_validate_below=0",
    "adapt.gate_confidence=0",
)
"""The same on a command line."""
TINY_TRAINING = (
    *("model=tiny", "train=demo", "model.conv_channels=4", "model.num_rnn_layers=1", "model.rnn_hidden_dim=24"),
    *("audio.num_mels=16", "train.num_epochs=1"),
)


def random_weights(corpus: DemoCorpus, seed: int = 0) -> Base:
    """A base that has learned nothing, with the vocabulary of the corpus."""
    torch.manual_seed(seed)
    texts = [
        u.transcript for uri in (corpus.train_manifest, corpus.test_manifest) for u in read_manifest(uri).utterances
    ]
    texts += [u.transcript for utterances in spoken(corpus).values() for u in utterances]
    vocabulary = Vocabulary.from_transcripts(texts, TextConfig())
    model = DeepSpeech2.from_config(MODEL, AUDIO.num_mels, len(vocabulary)).eval()
    return Base.of(model, MODEL, AUDIO, vocabulary)


@dataclass(frozen=True)
class RandomBase:
    """A base in a store of its own."""

    root: str
    base: Base

    def publish(self, root_uri: str) -> str:
        """Publish the same base in another store; returns the store's root."""
        publish_base(Store(root_uri), self.base, run_id="random", metrics={})
        return root_uri


def spoken(corpus: DemoCorpus) -> dict[str, list[Utterance]]:
    """What each user of a corpus gives for adaptation."""
    return {user: read_manifest(f"{corpus.root}/users/{user}.csv").utterances for user in corpus.user_ids}


def write_users(uri: str, users: Mapping[str, Sequence[Utterance]]) -> str:
    """Write one manifest with a user_id column, which may be moved away from the audio; returns its URI."""
    rows = [replace(u, user_id=user) for user, utterances in users.items() for u in utterances]
    write_manifest(uri, rows, audio_relative=False)
    return uri


def job_of(root_uri: str, users_uri: str, run_id: str = "", dry_run: bool = False, **changed: Any) -> AdaptJob:
    """A run on the connected cluster, which writes no page; `changed` are fields of AdaptConfig."""
    return AdaptJob(
        users=users_uri,
        run_id=run_id,
        adapter=replace(ADAPTER),
        adapt=replace(ADAPT, **changed),
        storage=StorageConfig(root=root_uri),
        cluster=ClusterConfig(address="local"),
        report=ReportConfig(page=False),
        dry_run=dry_run,
    )


def adapt_users(root_uri: str, users_uri: str, run_id: str, **changed: Any) -> tuple[int, dict[str, Outcome]]:
    """Run on the connected cluster; the exit code, and the outcomes of all but unchanged users by user key."""
    code = adapt.run(job_of(root_uri, users_uri, run_id, **changed))
    return code, changed_outcomes(root_uri, run_id)


def changed_outcomes(root_uri: str, run_id: str) -> dict[str, Outcome]:
    """Outcomes by user key, but for those of unchanged users."""
    rows = read_outcomes(Store(root_uri), run_id)
    return {row.user_key: row for row in rows if row.status is not Status.unchanged}


def start_job(name: str, *argv: str, **environment: str) -> "subprocess.Popen[str]":
    """Start jobs/<name>.py on its own."""
    return subprocess.Popen(_command(name, *argv), **_pipes(environment))


def start_warm_job(name: str, *argv: str, **environment: str) -> "subprocess.Popen[str]":
    """The same in a process that begins with the heavy libraries imported; see `WarmJob`."""
    return WarmJob(_command(name, *argv), **_pipes(environment))


def _command(name: str, *argv: str) -> list[str]:
    return [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *argv]


def _pipes(environment: Mapping[str, str]) -> dict[str, Any]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return {**pipes, "env": {**os.environ, **environment}}


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str

    def summary(self) -> dict[str, object]:
        """summary.json of the run, whose folder the last line names."""
        document: dict[str, object] = storage.read_json(f"{self.out.splitlines()[-1].split()[-1]}/summary.json")
        return document


def finish(process: "subprocess.Popen[str]") -> Finished:
    out, err = process.communicate()
    return Finished(process.returncode, out, err)


def run_job(name: str, *argv: str, **environment: str) -> Finished:
    """Run jobs/<name>.py on its own, to its end."""
    return finish(start_job(name, *argv, **environment))


def run_warm_job(name: str, *argv: str, **environment: str) -> Finished:
    """The same in a process that begins with the heavy libraries imported."""
    return finish(start_warm_job(name, *argv, **environment))


def run_job_here(name: str, *argv: str) -> Finished:
    """Run jobs/<name>.py in this process, which has imported the heavy libraries already; a defect raises."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as exited:
        start.run_job(name, list(argv), command=f"jobs/{name}.py")
    return Finished(int(exited.value.code or 0), out.getvalue(), err.getvalue())


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str] | None" = None) -> None:
    """Look every few milliseconds; pytest's own time limit ends a wait in vain."""
    while not condition():
        if process is not None and process.poll() is not None:
            raise AssertionError(f"ended too early: {finish(process)}")
        time.sleep(0.01)


TRIAL_TITLES = ("ray::CohortTrial", "ray::ResourceTrainable")
"""How Ray names the process of a trial between calls, and within one."""

TRAIN_TITLE = "ray::RayTrainWorker"


def trial_pids(root_pid: int) -> list[int]:
    """The processes of trials that descend from `root_pid`."""
    return ray_pids(root_pid, TRIAL_TITLES)


def ray_pids(root_pid: int, titles_wanted: str | tuple[str, ...]) -> list[int]:
    """The processes that descend from `root_pid` and whose titles start so."""
    parents, titles = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = (entry / "stat").read_text()
            titles[int(entry.name)] = (entry / "cmdline").read_text()
        except OSError:
            continue
        parents[int(entry.name)] = int(status.rpartition(")")[2].split()[1])
    found = []
    for pid, name in titles.items():
        ancestor = pid
        while ancestor in parents and ancestor != root_pid:
            ancestor = parents[ancestor]
        if ancestor == root_pid and name.startswith(titles_wanted):
            found.append(pid)
    return found


def read_rows(path: Path) -> list[dict[str, object]]:
    """Rows of a JSON lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
