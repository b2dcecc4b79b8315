import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from arguments import JOBS, groups
from ds2ray.config import (
    Activation,
    AdaptConfig,
    AdapterConfig,
    AdaptJob,
    AudioConfig,
    BadRows,
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
from ds2ray.errors import ConfigError, InputError, InterruptedRunError, StorageError
from ds2ray.reference import settings
from launch import compose_job, run_job

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


@pytest.fixture(autouse=True)
def no_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DS2RAY_STORAGE_ROOT", raising=False)


def composed(schema: type[T], *argv: str) -> T:
    job_name = next(name for name, spec in JOBS.items() if spec.schema is schema)
    job = compose_job(job_name, list(argv))
    assert type(job) is schema
    return job


def mistakes(job_name: str, *argv: str) -> str:
    with pytest.raises(ConfigError) as caught:
        compose_job(job_name, list(argv))
    assert caught.value.exit_code == 2
    return str(caught.value)


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


class TestText:
    """Text is taken as it stands: it is never read as a number, a truth value, a list or a choice between values."""

    @pytest.mark.parametrize("text", ["007", "1_0", "1e3", "true", "null", "a,b.csv", "o'b (1) {x} [y].csv", "x=y", ""])
    def test_examples(self, text: str) -> None:
        job = composed(AdaptJob, f"run_id={text}", f"storage.root={text}")
        assert (job.run_id, job.storage.root) == (text, text)

    @hypothesis.settings(max_examples=20)
    @given(st.text(st.characters(blacklist_categories=["C"], blacklist_characters="$"), min_size=1))
    def test_any_path_arrives_unchanged(self, text: str) -> None:
        path = f"./{text}"
        assert composed(AdaptJob, path) == composed(AdaptJob, f"users={path}") == AdaptJob(users=path)
        assert composed(TranscribeJob, path, "b.wav").audio == [path, "b.wav"]

    def test_a_path_with_an_equals_sign_is_no_setting(self) -> None:
        assert composed(AdaptJob, "s3://bucket/day=1/users.csv").users == "s3://bucket/day=1/users.csv"
        assert composed(AdaptJob, "data/day=1/users.csv").users == "data/day=1/users.csv"


class TestMistakes:
    @pytest.mark.parametrize(
        ("argument", "expected"),
        [
            ("train.batchsize=4", "did you mean train.batch_size?"),
            ("modle=ds2", "did you mean model?"),
            ("num_epochs=3", "did you mean train.num_epochs?"),
            ("trian.seed=3", "did you mean train.seed?"),
            ("model=ds3", "model=ds3: one of ds2, ds2_large, ds2_small, tiny is wanted (did you mean ds2?)"),
            ("train.batch_size=abc", "train.batch_size=abc: a whole number is wanted"),
            ("train.batch_size=1.5", "train.batch_size=1.5: a whole number is wanted"),
            ("train.batch_size=", "train.batch_size=: a whole number is wanted"),
            ("train.batch_size=null", "train.batch_size=null: a whole number is wanted"),
            ("train.batch_size=1,2", "train.batch_size=1,2: a whole number is wanted"),
            ("train.batch_size={", "train.batch_size={: a whole number is wanted"),
            ("train.learning_rate=fast", "train.learning_rate=fast: a number is wanted"),
            ("train.resume=maybe", "train.resume=maybe: true or false is wanted"),
            (
                "train.schedule=onecycle",
                "constant, one_cycle, warmup_cosine, tri_stage is wanted (did you mean one_cycle?)",
            ),
            ("adapter.hidden_dims=64", "adapter.hidden_dims=64: a list in brackets, as [64,32] is wanted"),
            ("adapter.hidden_dims=[a]", "adapter.hidden_dims=[a]: a list in brackets, as [64,32] is wanted"),
            ("train.augment={speeds:[1]}", "give them one by one, as train.augment.NAME=…"),
            ("+train.new=1", "no settings to add"),
            ("~model", "cannot be removed"),
            ("hydra.run.dir=x", "unknown setting hydra.run.dir"),
            ("train.batch_size=${nowhere}", "train.batch_size: Interpolation key 'nowhere' not found"),
            ("train.batch_size=0", "train.batch_size=0 is not possible: at least 1"),
            ("data.max_duration_s=0.01", "above data.min_duration_s"),
            ("train.base_model_path=m.pt", "train.adapter_name='' is not possible: with train.base_model_path, name"),
            ("users.csv", "unexpected argument 'users.csv'"),
            ("train.seed", "train.seed has no value: write train.seed=…"),
            ("--dryrun", "unknown option --dryrun (did you mean --dry-run?)"),
            ("--model=ds2", "settings are given without dashes: model=…"),
        ],
    )
    def test_one_mistake(self, argument: str, expected: str) -> None:
        message = mistakes("train", argument)
        assert expected in message
        assert "\n" not in message

    def test_all_of_them_in_one_message(self) -> None:
        lines = mistakes("train", "modle=ds2", "train.batch_size=abc", "data=lax", "stray").splitlines()
        assert lines[0] == "wrong settings:"
        assert len(lines) == 5
        impossible = mistakes("train", "train.batch_size=0", "model.dropout=2", "audio.num_mels=0")
        for key in ("train.batch_size=0", "model.dropout=2.0", "audio.num_mels=0"):
            assert f"{key} is not possible" in impossible

    @pytest.mark.parametrize(
        ("argv", "expected"),
        [
            (("a.csv", "b.csv"), "users is one path, and 2 were given: a.csv, b.csv"),
            (("a.csv", "users=b.csv"), "users is given twice"),
            (("a.csv", "train.seed=1"), "unknown setting train.seed (did you mean adapt.seed?)"),
        ],
    )
    def test_users(self, argv: tuple[str, ...], expected: str) -> None:
        assert expected in mistakes("adapt_users", *argv)

    def test_fine_tuning_and_an_adapter_at_once(self) -> None:
        argv = ("train=adapter_train", "train.base_model_path=a.pt", "train.adapter_name=u")
        assert "not both" in mistakes("train", *argv, "train.pretrained_model_path=b.pt")

    def test_job_without_a_plan_has_no_dry_run(self) -> None:
        assert "no dry run" in mistakes("transcribe", "a.wav", "--dry-run")


class TestSecrets:
    @pytest.mark.parametrize(
        "argument",
        [
            "storage.root=s3://AKIAIOSFODNN7EXAMPLE:hunter2@bucket/x",
            "storage.root=s3://user:hunter2@bucket/x",
            "storage.endpoint_url=http://user:hunter2@localhost:9000",
            "storage.endpoint_url=http://localhost:9000?token=hunter2",
            "aws_secret_access_key=hunter2",
            "storage.password=hunter2",
            "+storage.token=hunter2",
            "--access_key=hunter2",
            "storage={secret_key:hunter2}",
            "base=AKIAIOSFODNN7EXAMPLE",
            "s3://user:hunter2@bucket/users.csv",
        ],
    )
    def test_refused_and_not_repeated(self, argument: str) -> None:
        message = mistakes("adapt_users", argument)
        assert "seems to hold a secret" in message
        assert "hunter2" not in message
        assert "AKIA" not in message

    def test_in_the_environment_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DS2RAY_STORAGE_ROOT", "s3://user:hunter2@bucket/x")
        assert "storage.root seems to hold a secret" in mistakes("adapt_users")

    @pytest.mark.parametrize("path", ["s3://bucket/tokens/users.csv", "./secret-santa.csv", "http://host:9000/a@b.csv"])
    def test_ordinary_paths_are_none(self, path: str) -> None:
        assert composed(AdaptJob, path).users == path


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
        assert done.stderr == "jobs/adapt_users.py: adapter=hugh: one of large, last, medium, small is wanted\n"
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
