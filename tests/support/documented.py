"""The files that the pages name, in small, and the ways in which what stands in the pages is run."""

import re
import runpy
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from corpora import COMMON_VOICE_ROWS, write_common_voice, write_librispeech
from fleet_runs import RandomBase, spoken
from kept_store import night
from kospeech_data import write_kospeech
from pages import ROOT, Block, commands, make_targets
from s3_server import S3Server

from ds2ray import storage
from ds2ray.config import AdaptConfig, ClusterConfig, DataConfig, ModelConfig, TrainConfig
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.sound.audio import read_waveform, write_audio
from ds2ray.store import Store
from ds2ray.tables.manifest import Utterance, read_manifest, write_manifest
from ds2ray.tables.users import read_fleet

NIGHTS = ("20261125-020000-3f9a1c", "20261126-020000-b07e52")
"""The runs of the store that docs/store.md looks after."""

SPEAKERS = {"john": "fiona", "mary": "tony"}
"""The users of the pages, and who speaks for them."""

BUCKET = "speech"
"""The bucket of the pages."""

SMALL: Mapping[str, tuple[str, ...]] = {
    "train": ("audio.num_mels=16", "train.num_epochs=1", "cluster.num_workers=0"),
    "adapt_users": (
        *("adapt.num_epochs=1", "adapt.max_concurrent_trials=1", "adapt.cross_validate_below=0"),
        "adapt.gate_confidence=0",  # after an epoch nobody can be confident
    ),
    # each shape is a trial in a process of its own, which takes seconds to start
    "sweep_adapters": (
        "sweep.hidden_dims=[[4]]",
        "sweep.num_users=1",
        "adapt.num_epochs=1",
        "adapt.cross_validate_below=0",
    ),
    "transcribe": (),
    "evaluate": (),
    "export": (),
    "prepare": (),
    "language_model": (),
    "words": (),
    "calibrate": (),
    "store": (),
    "report": (),
}
"""Settings that are appended to the commands of each job, so that they take seconds."""

SMALL_DEEPSPEECH2 = ("model.conv_channels=4", "model.num_rnn_layers=1", "model.rnn_hidden_dim=24")
DEEPSPEECH2 = ("model=tiny", "model=ds2")
"""Beginnings of overrides that choose a DeepSpeech2, which is also the default."""

STARTS_FROM = ("train.pretrained_model_path=", "train.base_model_path=")
"""How overrides begin that name a model file, which says what the model is."""

SMALL_DEFAULTS: Mapping[type, Mapping[str, Any]] = {
    ModelConfig: {"conv_channels": 4, "num_rnn_layers": 1, "rnn_hidden_dim": 24},
    TrainConfig: {"num_epochs": 1},
    AdaptConfig: {"num_epochs": 1, "max_concurrent_trials": 1, "cross_validate_below": 0},
    ClusterConfig: {"num_workers": 0},
}
"""Defaults, for snippets of Python, of the settings that they leave out."""

PLACEHOLDER = "…"


def write_documented(folder: Path, corpus: DemoCorpus, base: RandomBase) -> None:
    """Write all files that the pages' commands read, by the names that they give them."""
    _write_tables(str(folder), corpus)
    hello = read_manifest(corpus.test_manifest).utterances[0]
    write_audio(str(folder / "hello.wav"), read_waveform(hello.audio, 16000), 16000)
    (folder / "list.m3u").write_text("#EXTM3U\nhello.wav\n")
    write_kospeech(folder / "data")
    write_common_voice(folder / "cv-corpus" / "en", {"validated.tsv": COMMON_VOICE_ROWS})
    write_librispeech(folder / "LibriSpeech")
    base.publish(str(folder / "store"))
    nightly = Store(str(folder / "nightly"))
    for run_id in NIGHTS:
        night(nightly, run_id, {user: f"{user} of {run_id}".encode() for user in SPEAKERS})


def write_bucket(server: S3Server, corpus: DemoCorpus, base: RandomBase) -> None:
    """Write all files that the pages' commands read from S3; the server's credentials must be in the environment."""
    server.make_bucket(BUCKET)
    if storage.exists(f"s3://{BUCKET}/users.csv"):
        return
    base.publish(f"s3://{BUCKET}/ds2ray")
    _write_tables(f"s3://{BUCKET}", corpus)


def _write_tables(folder: str, corpus: DemoCorpus) -> None:
    """train.csv, valid.csv and test.csv, and users.csv with the manifests that it names."""

    def write(name: str, utterances: list[Utterance]) -> None:
        write_manifest(storage.join(folder, name), utterances, audio_relative=False)

    write("train.csv", read_manifest(corpus.train_manifest).utterances)
    write("valid.csv", read_manifest(corpus.valid_manifest).utterances)
    tests = read_manifest(corpus.test_manifest).utterances
    write("test.csv", [replace(u, user_id=user) for user, name in SPEAKERS.items() for u in tests if u.user_id == name])
    for user, name in SPEAKERS.items():
        write(f"users/{user}.csv", [replace(u, user_id=user) for u in spoken(corpus)[name]])
    rows = "".join(f"{user},users/{user}.csv\n" for user in SPEAKERS)
    storage.write_bytes(storage.join(folder, "users.csv"), f"user_id,manifest\n{rows}".encode())


def run_block(block: Block, folder: Path, names: dict[str, Any], patch: pytest.MonkeyPatch) -> None:
    """Run a block in the working directory `folder`. Raises AssertionError where it fails or nobody knows how to.

    Args:
        names: what earlier Python blocks of the page have defined.
    """
    if block.language == "bash":
        for words in commands(block.text):
            run_command(words, patch)
    elif block.language == "python":
        with patch.context() as patched:
            make_defaults_small(patched)
            exec(compile(block.text, block.place, "exec"), names)
    elif block.language == "csv":
        read_table(block, folder)
    else:
        # what a command prints, or a drawing
        assert block.language == "", f"{block.place}: nobody knows how to run {block.language}"


def run_command(words: list[str], patch: pytest.MonkeyPatch) -> None:
    """Run a command of a page, or check it in the way that stands here. Anything else is an AssertionError."""
    if words[:2] == ["python", "jobs/submit.py"]:
        # tests/cluster/test_submit.py submits one to a cluster; here the settings of both are composed
        place = words.index("--") if "--" in words else len(words)
        run_script(words[1], [*words[2:place], "--cfg", *words[place:]], patch)
        job = words[place + 1 :]
        if job:
            run_script(job[1], [*job[2:], "--cfg"], patch)
    elif words[0] == "python" and words[1].startswith("jobs/"):
        run_script(words[1], [*words[2:], *_appended(words)], patch)
    elif words[:3] == ["ray", "job", "submit"]:
        # tests/cluster/test_submit.py submits one to a cluster; here the settings are composed
        job = words[words.index("--") + 1 :]
        assert job[0] == "python"
        run_script(job[1], [*job[2:], "--cfg"], patch)
    elif words[0] == "make":
        # minutes, and tests of their own: tests/jobs/test_demo.py, tests/benchmarks
        assert words[1] in make_targets(), f"the Makefile has no {words[1]}"
        assert all(re.fullmatch(r"[A-Z_]+=.*", word) for word in words[2:]), words
    elif words[0] == "export":
        # the environment has the real values already
        for word in words[1:]:
            name, _, value = word.partition("=")
            assert value == PLACEHOLDER, f"{word}: no secret stands in a page"
            assert name in S3Server("", "", "").environment(), f"{name} is none of the names of S3 credentials"
    else:
        raise AssertionError(f"nobody knows how to run {words}")


def _appended(words: list[str]) -> tuple[str, ...]:
    """The settings that make a documented command of a job small."""
    job = Path(words[1]).stem
    assert job in SMALL, f"nobody knows how to make {words[1]} small"
    on_s3 = any("s3://" in word for word in words)
    if job == "adapt_users" and on_s3:
        # the workers of the session's cluster have no credentials; tests/cluster/test_s3_jobs.py goes all the way
        return ("--dry-run",)
    presets = [word for word in words if word.startswith("model=")]
    of_model = SMALL_DEEPSPEECH2 if job == "train" and all(p.startswith(DEEPSPEECH2) for p in presets) else ()
    small = *SMALL[job], *of_model
    if any(word.startswith(STARTS_FROM) for word in words):
        return tuple(override for override in small if not override.startswith(("model.", "audio.")))
    return small


def run_script(path: str, argv: list[str], patch: pytest.MonkeyPatch) -> None:
    """Run a script of jobs/ as Python would, but in this process, which has torch and Ray already."""
    with patch.context() as patched:
        patched.setattr(sys, "argv", [path, *argv])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / path), run_name="__main__")
    assert ended.value.code == 0, f"{path} {' '.join(argv)}: exit code {ended.value.code}"


def read_table(block: Block, folder: Path) -> None:
    """Read a table of a page as a manifest, or where it has manifests as a table of users."""
    uri = str(folder / f"of-line-{block.line}.csv")
    storage.write_bytes(uri, block.text.encode())
    header = block.text.splitlines()[0].split(",")
    if "manifest" in header:
        fleet = read_fleet(uri, DataConfig())
        assert (len(fleet.users) + fleet.table.rows.num_rows, fleet.problems) == (1, []), block.place
    else:
        manifest = read_manifest(uri)
        assert (len(manifest.utterances), manifest.problems, manifest.unknown_columns) == (1, [], []), block.place


def make_defaults_small(patch: pytest.MonkeyPatch) -> None:
    """Let settings that a snippet leaves out be those of a minute's work."""
    for config_class, defaults in SMALL_DEFAULTS.items():
        for name, value in defaults.items():
            constructor: Any = vars(config_class)["__init__"]
            patch.setitem(constructor.__kwdefaults__, name, value)
