"""Settings as the documented commands and the presets compose them."""

from dataclasses import replace
from typing import Any

import pytest
from composing import composed, mistakes

from ds2ray.commandline.composing import compose_job
from ds2ray.commandline.jobs import JOBS
from ds2ray.commandline.presets import groups
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
    SweepJob,
    TrainConfig,
    TrainJob,
    TranscribeJob,
    UnknownCharacters,
)
from ds2ray.reference import settings

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
            (
                "brisk",
                ModelConfig(conv_channels=16, num_rnn_layers=2, rnn_hidden_dim=160, time_stride=4, dropout=0.15),
                AudioConfig(num_mels=40),
            ),
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

    @pytest.mark.parametrize("schema", [AdaptJob, SweepJob, DemoJob])
    def test_adapters_after_the_last_layer_bring_their_training(self, schema: type[Any]) -> None:
        job = composed(schema, "adapter=last")
        assert job.adapter == AdapterConfig(after_layer=-1)
        assert job.adapt == AdaptConfig(num_epochs=20, learning_rate=0.002)
        assert composed(schema).adapt == AdaptConfig()

    def test_what_an_adapter_s_preset_brings_can_be_changed(self) -> None:
        for argv in (["adapter=last", "adapt.num_epochs=3"], ["adapt.num_epochs=3", "adapter=last"]):
            assert composed(AdaptJob, *argv).adapt == AdaptConfig(num_epochs=3, learning_rate=0.002)

    def test_a_single_adapter_after_the_last_layer_is_trained_as_one_of_a_fleet(self) -> None:
        single = ("train=adapter_train", "train.base_model_path=m.pt", "train.adapter_name=u", "adapter=last")
        train, fleet = composed(TrainJob, *single).train, composed(AdaptJob, "adapter=last").adapt
        for name in ("num_epochs", "batch_size", "learning_rate", "weight_decay", "max_grad_norm"):
            assert getattr(train, name) == getattr(fleet, name)
        assert composed(TrainJob, *single, "train.num_epochs=3").train.num_epochs == 3
        assert composed(TrainJob, "adapter=last").train == TrainConfig()  # a base has its own training

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

    def test_an_empty_variable_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DS2RAY_STORAGE_ROOT", "")
        assert composed(AdaptJob).storage.root == "./store"
        assert "DS2RAY_STORAGE_ROOT is not set" in mistakes("adapt_users", "storage=s3")

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


def test_every_setting_says_what_it_means() -> None:
    for spec in JOBS.values():
        assert [key for key, setting in settings(spec.schema).items() if not setting.meaning] == []
