"""Base training on Ray Train: what it writes, what it repeats, and how it ends when it cannot go on."""

import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from base_training import NO_AUGMENT
from fleet_runs import TRAIN_TITLE, ray_pids, wait_for
from printed import said
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]
from toy_speech import AUDIO, MODEL, make_utterances

from ds2ray.commands.train import Mode, detect_mode, run
from ds2ray.config import (
    ClusterConfig,
    DataConfig,
    Schedule,
    StorageConfig,
    TrainConfig,
    TrainJob,
    TrainReportConfig,
    UnknownCharacters,
)
from ds2ray.errors import ConfigError, InputError, TrainingDivergedError
from ds2ray.model.files import load_model_file
from ds2ray.model.stored import open_base
from ds2ray.store import Store, list_bases, read_base_record
from ds2ray.tables.manifest import write_manifest

# Ray's trainer builds a context of Ray Data, which warns of its own defaults
pytestmark = pytest.mark.filterwarnings("ignore:::ray.data.context")

ROOT = Path(__file__).resolve().parents[2]
STOPPED = re.compile(
    r"jobs/train\.py: stopped (in epoch (\d+) of 2000 (?:at its start|after (\d) steps of it)); run it again to go on "
    r"from there: the state is in .*/checkpoints\n"
)
EPOCH_LINE = re.compile(r"epoch (\d+)/\d+ · loss .* · WER .*")
OF_THE_DATA = re.compile(r"  data: |  report on the data|  report on t|doctor: ")
"""What is said of the speech, which is too little to learn from."""


def make_job(folder: Path, num_workers: int, **train: Any) -> TrainJob:
    folder.mkdir(exist_ok=True)
    manifest = str(folder / "train.csv")
    write_manifest(manifest, make_utterances(folder, 14, seed=1))
    settings: dict[str, Any] = {"num_epochs": 2, "batch_size": 6, "learning_rate": 0.02, "augment": NO_AUGMENT, **train}
    return TrainJob(
        model=MODEL,
        audio=AUDIO,
        train=TrainConfig(manifest=manifest, output_dir=str(folder / "outputs"), **settings),
        storage=StorageConfig(root=str(folder / "store")),
        cluster=ClusterConfig(num_workers=num_workers),
    )


def epochs_of(output: str) -> list[int]:
    return [int(match[1]) for match in map(EPOCH_LINE.fullmatch, output.splitlines()) if match]


def test_training_on_two_workers(ray_cluster: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    job = make_job(tmp_path, num_workers=2, log_every_s=0.0)
    assert run(job) == 0
    output = capfd.readouterr().out
    assert epochs_of(output) == [1, 2]
    assert "(RayTrainWorker" not in output
    content = torch.load(tmp_path / "outputs" / "model.pt", weights_only=True)
    described = {"format", "fingerprint", "fingerprint_version", "model", "audio", "vocabulary"}
    assert set(content) == {*described, "state"}
    model = load_model_file(str(tmp_path / "outputs" / "model.pt"))
    published = open_base(Store(job.storage.root))
    assert published.fingerprint == model.fingerprint
    assert output.splitlines()[-1].startswith(f"base {model.base_id}: {tmp_path}/outputs/model.pt")
    record = read_base_record(Store(job.storage.root))
    assert record.metrics["epoch"] == 2
    assert record.run_id.startswith("train-")
    board = EventAccumulator(str(tmp_path / "outputs" / "tensorboard"))
    board.Reload()
    for name in ("train_loss", "valid_loss", "wer", "cer", "learning_rate"):
        assert [event.step for event in board.Scalars(name)] == [1, 2]
    for name in ("loss", "learning_rate", "speech_per_time", "padding_share", "data_wait_share", "step_s", "bad_steps"):
        assert [event.step for event in board.Scalars(f"steps/{name}")] == [1, 2]
    assert re.search(r"^epoch 2/2 · step 1/1 · loss \d.* · eta \d+s$", output, re.MULTILINE)
    assert board.Scalars("wer")[-1].value == pytest.approx(record.metrics["wer"])


def test_a_killed_worker_is_started_again_and_as_many_train_as_there_is_room_for(
    ray_cluster: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    job = make_job(tmp_path, num_workers=3, num_epochs=20, checkpoint_every_s=1e-3)
    job = replace(job, cluster=replace(job.cluster, min_workers=1))  # two fit into the cluster
    workers: list[int] = []

    def kill_a_worker() -> None:
        wait_for(lambda: len(list((tmp_path / "outputs" / "checkpoints").glob("*.pt"))) > 1)
        workers.extend(ray_pids(os.getpid(), TRAIN_TITLE))
        os.kill(workers[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill_a_worker)
    killer.start()
    assert run(job) == 0
    killer.join()
    assert len(workers) == 2
    output = capfd.readouterr().out
    assert "training with 2 of 3 workers: the cluster has no room for more" in output
    (went_on,) = re.findall(r"^going on from step \d+, in epoch (\d+) of 20 ", output, re.MULTILINE)
    # what was told of the epoch that ended last may have been lost with the worker
    untold = set(range(1, 21)) - set(epochs_of(output))
    assert untold <= {int(went_on) - 1}
    assert read_base_record(Store(job.storage.root)).metrics["epoch"] == 20


class TestFinished:
    @pytest.fixture
    def job(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> TrainJob:
        job = make_job(tmp_path, num_workers=0)
        figures = tmp_path / "ds2ray.prom"
        assert run(replace(job, report=TrainReportConfig(metrics_file=str(figures)))) == 0
        metrics = read_base_record(Store(job.storage.root)).metrics
        lines = figures.read_text().splitlines()
        assert f'ds2ray_train_error_ratio{{of="words"}} {metrics["wer"]!r}' in lines
        assert {"ds2ray_train_exit_code 0", "ds2ray_train_epochs 2"} <= set(lines)
        output = capsys.readouterr().out
        assert epochs_of(output) == [1, 2]
        page = tmp_path / "outputs" / "data.html"
        assert output.index(f"  report on the data: {page}\n") < output.index("epoch 1/2")
        assert "By a sample of 13 training utterances" in page.read_text(encoding="utf-8")
        return job

    def test_a_second_run_finds_nothing_to_do(self, job: TrainJob, capsys: pytest.CaptureFixture[str]) -> None:
        model = Path(job.train.output_dir) / "model.pt"
        before = model.stat().st_mtime_ns
        # had it anything to do, it would look for a cluster that is not there
        assert run(replace(job, cluster=ClusterConfig(num_workers=1, address="127.0.0.1:1"))) == 0
        output = capsys.readouterr().out
        assert f"nothing is left to do: base {open_base(Store(job.storage.root)).base_id}" in output
        assert epochs_of(output) == []
        assert model.stat().st_mtime_ns == before

    def test_resume_false_trains_again(self, job: TrainJob, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(replace(job, train=replace(job.train, resume=False))) == 0
        assert epochs_of(capsys.readouterr().out) == [1, 2]
        assert len(list_bases(Store(job.storage.root))) == 1  # the same weights: the same base

    def test_other_settings_train_again(self, job: TrainJob, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(replace(job, train=replace(job.train, num_epochs=1))) == 0
        assert epochs_of(capsys.readouterr().out) == [1]
        assert len(list_bases(Store(job.storage.root))) == 2

    def test_a_lost_model_file_is_written_again_from_the_checkpoint(
        self, job: TrainJob, capsys: pytest.CaptureFixture[str]
    ) -> None:
        model = Path(job.train.output_dir) / "model.pt"
        fingerprint = load_model_file(str(model)).fingerprint
        model.unlink()
        assert run(job) == 0
        assert epochs_of(capsys.readouterr().out) == [2]
        assert load_model_file(str(model)).fingerprint == fingerprint
        assert read_base_record(Store(job.storage.root)).metrics["epoch"] == 2


def test_an_error_of_ours_ends_training_at_once_and_as_itself(
    ray_cluster: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = {"num_epochs": 9, "learning_rate": 1e30, "max_bad_steps": 3, "schedule": Schedule.constant}
    with pytest.raises(TrainingDivergedError, match="3 steps in a row") as caught:
        run(make_job(tmp_path, num_workers=2, **settings))
    assert caught.value.exit_code == 1
    epochs = epochs_of(capfd.readouterr().out)
    assert epochs == list(range(1, len(epochs) + 1))  # no worker was started again


@pytest.mark.ray
@pytest.mark.process
class TestInterrupted:
    def start(self, folder: Path, *overrides: str) -> "subprocess.Popen[str]":
        job = make_job(folder, num_workers=1)
        command = [
            *(sys.executable, str(ROOT / "jobs" / "train.py"), f"train.manifest={job.train.manifest}"),
            "train.batch_size=5",
            *("model.conv_channels=4", "model.num_rnn_layers=1", "model.rnn_hidden_dim=16", "audio.num_mels=16"),
            *("train.num_epochs=2000", f"train.output_dir={job.train.output_dir}", f"storage.root={job.storage.root}"),
            *overrides,
        ]
        # the streams of a terminal belong to the job alone: what Ray's own processes write would show here
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        return subprocess.Popen(command, env=environment, **pipes)

    def interrupt_after(self, process: "subprocess.Popen[str]", number: int) -> tuple[list[str], str]:
        """Send a signal at the second epoch line; returns all lines, and what was written to the error stream."""
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if len(epochs_of("\n".join(lines))) == 2:
                break
        process.send_signal(number)
        rest, errors = process.communicate(timeout=120)
        return said([*lines, *rest.splitlines()]), errors

    def test_ctrl_c_and_sigterm_save_and_end_with_75_and_the_next_run_goes_on_from_there(self, tmp_path: Path) -> None:
        on_ray = self.start(tmp_path, "cluster=local")
        lines, errors = self.interrupt_after(on_ray, signal.SIGINT)
        assert on_ray.returncode == 75, errors
        stopped = STOPPED.fullmatch(errors)
        assert stopped, errors
        assert lines[0].startswith("training a base from scratch: 13 training utterances")
        asked = [line for line in lines[1:] if not (EPOCH_LINE.fullmatch(line) or OF_THE_DATA.match(line))]
        assert [line[:13] for line in asked] == ["asked to stop"]
        in_process = self.start(tmp_path, "cluster=in_process")
        more, errors = self.interrupt_after(in_process, signal.SIGTERM)
        assert in_process.returncode == 75, errors
        (going_on,) = [line for line in more if line.startswith("going on from ")]
        assert f"going on from step {stopped_at(stopped)}, {stopped[1]}, of " in going_on
        again = STOPPED.fullmatch(errors)
        assert again, errors
        assert epochs_of("\n".join(more))[0] == int(stopped[2])


def stopped_at(stopped: re.Match[str]) -> int:
    """The step of the run at which it stopped: three of each epoch before, and those of the last one."""
    return 3 * (int(stopped[2]) - 1) + int(stopped[3] or 0)


class TestMode:
    def test_it_follows_from_what_is_given(self) -> None:
        assert detect_mode(TrainConfig()) is Mode.from_scratch
        assert detect_mode(TrainConfig(pretrained_model_path="model.pt")) is Mode.fine_tuning
        assert detect_mode(TrainConfig(base_model_path="model.pt", adapter_name="john")) is Mode.adapter

    def test_an_adapter_without_a_base_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"needs train\.base_model_path"):
            detect_mode(TrainConfig(adapter_name="john"))

    def test_a_dry_run_starts_nothing(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        job = replace(make_job(tmp_path, num_workers=1), dry_run=True)
        assert run(job) == 0
        output = capsys.readouterr().out
        assert output.startswith("training a base from scratch: 13 training utterances (0.00 h), 1 ")
        assert "  data: 0.00 h are little for a base: " in output
        assert not (tmp_path / "outputs").exists()

    def test_a_dry_run_writes_a_page_where_one_is_wanted(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        job = replace(make_job(tmp_path, num_workers=1, data_page=str(tmp_path / "data.html")), dry_run=True)
        assert run(job) == 0
        assert f"  report on the data: {tmp_path}/data.html\n" in capsys.readouterr().out
        assert "<h1>Training data: 13 utterances, 6 tokens</h1>" in (tmp_path / "data.html").read_text()
        assert not (tmp_path / "outputs").exists()

    def test_what_the_doctor_finds_ends_the_job_and_stands_on_the_page(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "few.csv").write_text("id,char,freq\n0,<blank>,0\n1,a,9\n2,b,9\n3, ,9\n")
        job = make_job(tmp_path, num_workers=1, doctor=True, vocab_path=str(tmp_path / "few.csv"))
        job = replace(job, data=DataConfig(unknown_characters=UnknownCharacters.drop))
        with pytest.raises(InputError, match=r"nothing was trained:\n  the vocabulary lacks .*\n\(train.doctor=false "):
            run(job)
        page = (tmp_path / "outputs" / "data.html").read_text(encoding="utf-8")
        assert "doctor: the vocabulary lacks " in page
        assert not (tmp_path / "outputs" / "model.pt").exists()
        assert capsys.readouterr().out.count("report on the data:") == 1

    def test_a_dry_run_asks_the_doctor_and_writes_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        job = replace(make_job(tmp_path, num_workers=1, doctor=True), dry_run=True)
        assert run(job) == 0
        assert "doctor: one batch is learnt by heart in " in capsys.readouterr().out
        assert not (tmp_path / "outputs").exists()

    def test_the_doctor_examines_no_adapter(self) -> None:
        train = TrainConfig(base_model_path="model.pt", adapter_name="john", doctor=True)
        with pytest.raises(ConfigError, match="this trains an adapter: leave it out"):
            run(TrainJob(train=train))

    def test_a_page_that_cannot_be_written_is_told(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "file").write_text("in the way")
        job = replace(make_job(tmp_path, num_workers=1, data_page=str(tmp_path / "file" / "data.html")), dry_run=True)
        assert run(job) == 0
        assert "  the report on the data is not written: " in capsys.readouterr().out
