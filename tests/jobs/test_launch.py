import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from composing import composed, mistakes

from arguments import JOBS, groups
from ds2ray.config import (
    Activation,
    AdaptConfig,
    AdapterConfig,
    AdapterKind,
    AdaptJob,
    Architecture,
    AudioConfig,
    BadRows,
    ConformerConfig,
    DemoJob,
    ModelConfig,
    PackBy,
    PrepareConfig,
    PrepareJob,
    ProbeAudio,
    Schedule,
    SweepJob,
    TrainConfig,
    TrainJob,
    TranscribeJob,
    UnknownCharacters,
)
from ds2ray.errors import InputError, InterruptedRunError, StorageError
from ds2ray.reference import settings
from launch import compose_job, run_job

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


def script(job_name: str, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "jobs" / f"{job_name}.py"), *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


KOSPEECH = ("train.dataset_path=./data", "train.transcripts_path=./data/transcripts.txt")


class TestDocumentedCommands:
    def test_from_scratch(self) -> None:
        job = composed(TrainJob, "model=ds2", "train=ds2_train", *KOSPEECH)
        assert job.train == TrainConfig(dataset_path="./data", transcripts_path="./data/transcripts.txt")
        assert job.model == ModelConfig(num_rnn_layers=5)

    def test_fine_tuning(self) -> None:
        job = composed(
            TrainJob,
            *("model=ds2", "train=ds2_train", *KOSPEECH),
            *("train.pretrained_model_path=./outputs/model.pt", "train.resume=false"),
        )
        assert job.train.pretrained_model_path == "./outputs/model.pt"
        assert job.train.resume is False

    def test_single_user_adapter(self) -> None:
        job = composed(
            TrainJob,
            *("model=ds2", "train=adapter_train", *KOSPEECH, "train.base_model_path=./outputs/model.pt"),
            *("train.adapter_name=user_john", "train.adapter_save_dir=./adapters"),
        )
        train = job.train
        assert (train.base_model_path, train.adapter_name) == ("./outputs/model.pt", "user_john")
        # one user alone is trained as the same user is in a fleet
        fleet = AdaptConfig()
        for name in ("num_epochs", "batch_size", "learning_rate", "weight_decay", "max_grad_norm"):
            assert getattr(train, name) == getattr(fleet, name)

    def test_nothing_given_means_ds2_trained_from_scratch(self) -> None:
        assert composed(TrainJob) == composed(TrainJob, "model=ds2", "train=ds2_train")

    @pytest.mark.parametrize("argv", [("users.csv",), ("users=users.csv",), ("users='users.csv'",)])
    def test_users_table_by_position_or_by_name(self, argv: tuple[str, ...]) -> None:
        assert composed(AdaptJob, *argv) == AdaptJob(users="users.csv")
        assert composed(SweepJob, *argv) == SweepJob(users="users.csv")

    def test_dry_run(self) -> None:
        assert composed(AdaptJob, "users.csv", "--dry-run") == AdaptJob(users="users.csv", dry_run=True)

    def test_several_audio_files_and_a_user(self) -> None:
        job = composed(TranscribeJob, "a.wav", "s3://bucket/b c.flac", "user=john")
        assert job == TranscribeJob(audio=["a.wav", "s3://bucket/b c.flac"], user="john")

    def test_packing_a_corpus(self) -> None:
        job = composed(PrepareJob, "./LibriSpeech", "output=s3://bucket/packed", "prepare.by=shard")
        expected = PrepareConfig(by=PackBy.shard)
        assert job == PrepareJob(source="./LibriSpeech", output="s3://bucket/packed", prepare=expected)

    def test_sweep_lists(self) -> None:
        job = composed(
            SweepJob, "users.csv", "sweep.hidden_dims=[[64],[128,64]]", "sweep.activations=[relu,gelu]", "adapt.seed=3"
        )
        assert job.sweep.hidden_dims == [[64], [128, 64]]
        assert job.sweep.activations == [Activation.relu, Activation.gelu]
        assert job.adapt.seed == 3

    def test_demo(self) -> None:
        job = composed(DemoJob, "seed=2")
        assert job.seed == 2
        assert job.audio.num_mels == 40


class TestPresets:
    @pytest.mark.parametrize(
        ("option", "model", "audio"),
        [
            ("tiny", ModelConfig(conv_channels=16, num_rnn_layers=2, rnn_hidden_dim=160), AudioConfig(num_mels=40)),
            ("ds2_small", ModelConfig(num_rnn_layers=3, rnn_hidden_dim=512), AudioConfig()),
            ("ds2", ModelConfig(num_rnn_layers=5, rnn_hidden_dim=512), AudioConfig()),
            ("ds2_large", ModelConfig(num_rnn_layers=5, rnn_hidden_dim=1024), AudioConfig()),
            ("conformer_small", ModelConfig(architecture=Architecture.conformer), AudioConfig()),
        ],
    )
    def test_models(self, option: str, model: ModelConfig, audio: AudioConfig) -> None:
        job = composed(TrainJob, f"model={option}")
        assert (job.model, job.audio) == (model, audio)

    def test_a_setting_wins_over_a_preset(self) -> None:
        job = composed(TrainJob, "audio.num_mels=64", "model.rnn_hidden_dim=96", "model=tiny")
        assert job.audio.num_mels == 64
        assert job.model == ModelConfig(conv_channels=16, num_rnn_layers=2, rnn_hidden_dim=96)

    @pytest.mark.parametrize(("option", "dims"), [("small", [64]), ("medium", [256]), ("large", [512, 256])])
    def test_adapters(self, option: str, dims: list[int]) -> None:
        assert composed(AdaptJob, f"adapter={option}").adapter == AdapterConfig(hidden_dims=dims)

    def test_an_adapter_of_another_kind(self) -> None:
        assert composed(AdaptJob, "adapter=lhuc").adapter == AdapterConfig(kind=AdapterKind.lhuc)
        assert composed(AdaptJob, "adapter.kind=lhuc", "adapter.after_layer=-1").adapter == AdapterConfig(
            kind=AdapterKind.lhuc, after_layer=-1
        )

    def test_a_setting_of_another_architecture_or_kind_is_refused(self) -> None:
        told = mistakes("train", "model=conformer_small", "model.rnn_hidden_dim=96", "train.manifest=m.csv")
        assert "model.rnn_hidden_dim=96 is not possible: model.architecture=conformer has no such setting" in told
        told = mistakes("adapt_users", "adapter=small", "adapter.kind=lhuc", "users=u.csv")
        assert "adapter.hidden_dims=[64] is not possible: adapter.kind=lhuc has no such setting" in told

    def test_a_setting_of_a_section_within_a_section(self) -> None:
        job = composed(TrainJob, "model=conformer_small", "model.conformer.num_layers=3")
        assert job.model.conformer == ConformerConfig(num_layers=3)

    def test_adapters_after_the_last_layer(self) -> None:
        assert composed(AdaptJob, "adapter=last").adapter == AdapterConfig(after_layer=-1)

    def test_data(self) -> None:
        default = composed(AdaptJob).data
        strict = replace(default, bad_audio=BadRows.refuse, probe_audio=ProbeAudio.all)
        lenient = replace(default, bad_rows=BadRows.drop, unknown_characters=UnknownCharacters.drop)
        assert composed(AdaptJob, "data=strict").data == strict
        assert composed(AdaptJob, "data=lenient").data == lenient

    def test_clusters(self) -> None:
        assert composed(TrainJob, "cluster=in_process").cluster.num_workers == 0
        assert composed(TrainJob, "cluster=local").cluster.address == "local"

    def test_storage_root_comes_from_the_environment_where_it_is_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert composed(AdaptJob).storage.root == "./store"
        monkeypatch.setenv("DS2RAY_STORAGE_ROOT", "s3://bucket/prefix")
        assert composed(AdaptJob).storage.root == "s3://bucket/prefix"
        assert composed(AdaptJob, "storage=s3").storage.root == "s3://bucket/prefix"
        assert composed(AdaptJob, "storage.root=/data").storage.root == "/data"

    def test_s3_has_no_silent_local_folder(self) -> None:
        assert "storage.root" in mistakes("adapt_users", "storage=s3")
        assert composed(AdaptJob, "storage=s3", "storage.root=s3://b/p").storage.root == "s3://b/p"

    def test_a_single_adapter_needs_its_base_and_its_user(self) -> None:
        message = mistakes("train", "train=adapter_train", *KOSPEECH)
        assert "train.base_model_path has to be given" in message
        assert "train.adapter_name has to be given" in message

    @pytest.mark.parametrize("job_name", JOBS)
    def test_every_option_of_every_group_composes(self, job_name: str) -> None:
        needed = {"train=adapter_train": ["train.base_model_path=m.pt", "train.adapter_name=u"]}
        needed["storage=s3"] = ["storage.root=s3://b/p"]
        for group, options in groups(job_name).items():
            for option in options:
                argument = f"{group}={option}"
                assert isinstance(compose_job(job_name, [argument, *needed.get(argument, [])]), JOBS[job_name].schema)


class TestRunJob:
    def run(self, main: Any, argv: list[str] | None = None) -> int:
        with pytest.raises(SystemExit) as exited:
            run_job("adapt_users", AdaptJob, main, description="", argv=argv or [])
        assert isinstance(exited.value.code, int)
        return exited.value.code

    def test_main_gets_the_settings_and_gives_the_exit_code(self) -> None:
        seen: list[AdaptJob] = []

        def main(job: AdaptJob) -> int:
            seen.append(job)
            return 3

        assert self.run(main, ["users.csv"]) == 3
        assert seen == [AdaptJob(users="users.csv")]

    @pytest.mark.parametrize(
        ("error", "code"), [(InputError("a"), 2), (StorageError("b"), 5), (InterruptedRunError("c"), 75)]
    )
    def test_errors_become_one_message(self, error: Exception, code: int, capsys: pytest.CaptureFixture[str]) -> None:
        def main(job: AdaptJob) -> int:
            raise error

        assert self.run(main) == code
        assert capsys.readouterr().err == f"jobs/adapt_users.py: {error}\n"

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_signals_unwind_and_end_with_75(self, number: int, capsys: pytest.CaptureFixture[str]) -> None:
        unwound = False

        def main(job: AdaptJob) -> int:
            nonlocal unwound
            try:
                os.kill(os.getpid(), number)
                signal.pause()
            finally:
                unwound = True
            return 0

        before = signal.getsignal(signal.SIGTERM)
        assert self.run(main) == 75
        assert unwound
        assert "run it again" in capsys.readouterr().err
        assert signal.getsignal(signal.SIGTERM) is before

    def test_mistakes_start_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run(lambda job: pytest.fail("started"), ["adapt.sed=1"]) == 2
        assert capsys.readouterr().err == "jobs/adapt_users.py: unknown setting adapt.sed (did you mean adapt.seed?)\n"

    def test_a_defect_keeps_its_traceback(self) -> None:
        def main(job: AdaptJob) -> int:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run_job("adapt_users", AdaptJob, main, description="", argv=[])


class TestScripts:
    @pytest.mark.parametrize("job_name", ["train", "adapt_users", "sweep_adapters", "transcribe", "prepare"])
    def test_help_lists_every_group_option_and_setting(self, job_name: str, tmp_path: Path) -> None:
        done = script(job_name, "--help", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        for group, options in groups(job_name).items():
            for option in options:
                assert f"  {group}={option} " in done.stdout
        for key in settings(JOBS[job_name].schema):
            assert f"  {key}=" in done.stdout
        assert list(tmp_path.iterdir()) == []

    def test_help_and_mistakes_load_no_heavy_library(self) -> None:
        # -X importtime names every module that is imported
        for argv in (["--help"], ["users.csv", "adapt.sed=1"]):
            command = [sys.executable, "-X", "importtime", str(ROOT / "jobs" / "adapt_users.py"), *argv]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
            assert "hydra" in loaded
            assert loaded & {"torch", "ray", "pyarrow", "pandas", "fsspec", "numpy", "matplotlib"} == set()

    def test_mistake_from_another_folder(self, tmp_path: Path) -> None:
        done = script("adapt_users", "users.csv", "adapter=hugh", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "jobs/adapt_users.py: adapter=hugh: one of large, last, lhuc, medium, small is wanted\n"
        assert list(tmp_path.iterdir()) == []

    def test_cfg_prints_the_composed_settings(self) -> None:
        done = script("train", "model=tiny", "train.schedule=constant", "--cfg")
        assert done.returncode == 0
        printed = yaml.safe_load(done.stdout)
        assert printed["audio"]["num_mels"] == 40
        assert printed["train"]["schedule"] == Schedule.constant.name

    def test_a_reader_that_leaves_is_no_error(self) -> None:
        read_end, write_end = os.pipe()
        os.close(read_end)
        command = [sys.executable, str(ROOT / "jobs" / "train.py"), "--help"]
        with os.fdopen(write_end, "wb") as closed:
            done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_every_setting_says_what_it_means() -> None:
    for spec in JOBS.values():
        assert [key for key, setting in settings(spec.schema).items() if not setting.meaning] == []
