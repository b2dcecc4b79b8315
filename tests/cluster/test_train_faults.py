"""Base training on Ray whose driver is killed, or one of whose nodes is lost, in the middle of an epoch."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fleet_runs import ROOT, TRAIN_TITLE, ray_pids, start_job, wait_for
from train_jobs import checkpoint_steps, make_job

from ds2ray.commands.train import run
from ds2ray.config import TrainJob
from ds2ray.config.train import AS_IT_IS
from ds2ray.model.files import load_model_file
from ds2ray.model.stored import open_base
from ds2ray.store import Store, list_bases, read_base_record
from ds2ray.tables.manifest import read_manifest

# Ray's trainer builds a context of Ray Data, which warns of its own defaults
pytestmark = [pytest.mark.process, pytest.mark.ray, pytest.mark.filterwarnings("ignore:::ray.data.context")]

GOING_ON = re.compile(r"^going on from step (\d+), in epoch 1 of 1 after \d+ steps of it, of ", re.MULTILINE)


def check_finished(job: TrainJob) -> None:
    """One base is published; its epoch had each utterance exactly once."""
    base = open_base(Store(job.storage.root))
    assert load_model_file(f"{job.train.output_dir}/model.pt").fingerprint == base.fingerprint
    assert len(list_bases(Store(job.storage.root))) == 1
    metrics = read_base_record(Store(job.storage.root)).metrics
    assert metrics["epoch"] == 1
    speech_s = sum(utterance.duration_s or 0.0 for utterance in read_manifest(job.train.manifest).utterances)
    assert metrics["speech_s"] == pytest.approx(speech_s, rel=1e-4)
    assert metrics["bad_steps"] == metrics["unreadable"] == 0


def gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return not Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return True


def start(job: TrainJob) -> "subprocess.Popen[str]":
    train = job.train
    return start_job(
        "train",
        *(f"train.manifest={train.manifest}", f"train.valid_manifest={train.valid_manifest}"),
        *(f"train.output_dir={train.output_dir}", f"storage.root={job.storage.root}", "cluster=local"),
        *("model.conv_channels=4", "model.num_rnn_layers=1", "model.rnn_hidden_dim=24", "audio.num_mels=16"),
        *("model.dropout=0", "train.augment.num_time_masks=0", "train.augment.num_mel_masks=0"),
        *(f"train.augment.{name}={value}" for name, value in AS_IT_IS.items()),
        *(f"train.{name}={getattr(train, name)}" for name in ("num_epochs", "batch_size", "checkpoint_every_s")),
    )


def test_a_killed_driver_is_started_again_and_goes_on_in_mid_epoch(
    ray_cluster: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    job = make_job(tmp_path, num_workers=1)
    driver = start(job)
    wait_for(lambda: len(checkpoint_steps(tmp_path)) > 1, driver)
    workers, everyone = ray_pids(driver.pid, TRAIN_TITLE), ray_pids(driver.pid, "ray::")
    oldest = checkpoint_steps(tmp_path)[0]
    for pid in (driver.pid, *everyone):  # a machine that is gone takes all of its processes along
        os.kill(pid, signal.SIGKILL)
    driver.communicate()
    assert len(workers) == 1
    assert set(workers) < set(everyone)
    wait_for(lambda: all(map(gone, everyone)))
    assert not (tmp_path / "store").exists()
    assert run(job) == 0
    check_went_on(capfd.readouterr().out, oldest)
    check_finished(job)


def check_went_on(output: str, step: int) -> None:
    """Not before this step."""
    (went_on,) = GOING_ON.findall(output)
    assert int(went_on) >= step > 0


def test_a_lost_node_leaves_training_to_the_other(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/support/lost_training_node.py"), str(tmp_path), str(tmp_path / "seen.json")],
        capture_output=True, text=True, check=False,
        env={**os.environ, "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "seen.json").read_text())
    assert told["code"] == 0
    assert len(told["workers"]) == 1
    assert done.stdout.count("training with 1 of 2 workers: the cluster has no room for more\n") == 1
    check_went_on(done.stdout, told["step"])
    check_finished(make_job(tmp_path, num_workers=2))
