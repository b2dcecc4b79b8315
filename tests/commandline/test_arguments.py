"""Arguments on a command line: text is taken as it is, mistakes are told all at once, and secrets are refused."""

import functools
import math
import re
from pathlib import Path

import hypothesis
import pytest
from composing import composed, mistakes
from hypothesis import given
from hypothesis import strategies as st

from ds2ray.commandline.arguments import FILE_SUFFIXES
from ds2ray.commandline.jobs import JOBS
from ds2ray.config import AdaptJob, TrainConfig, TrainJob, TranscribeJob
from ds2ray.config.fields import require_finite
from ds2ray.corpora.ksponspeech import TRN
from ds2ray.errors import ConfigError
from ds2ray.reference import settings
from ds2ray.sound.audio import AUDIO_SUFFIXES
from ds2ray.tables.formats import GZIP, TABLES


class TestText:
    """Text is taken as it stands: it is never read as a number, a truth value, a list or a choice between values."""

    @pytest.mark.parametrize("text", ["007", "1_0", "1e3", "true", "null", "a,b.csv", "o'b (1) {x} [y].csv", "x=y", ""])
    def test_examples(self, text: str) -> None:
        job = composed(AdaptJob, f"run_id={text}", f"storage.root={text}")
        assert (job.run_id, job.storage.root) == (text, text)

    @hypothesis.settings(max_examples=20)
    @given(st.lists(st.characters(blacklist_categories=["C"]) | st.sampled_from(["${", "\\"]), min_size=1).map("".join))
    def test_any_path_arrives_unchanged(self, text: str) -> None:
        path = f"./{text}"
        assert composed(AdaptJob, path) == composed(AdaptJob, f"users={path}") == AdaptJob(users=path)
        assert composed(TranscribeJob, path, "b.wav").audio == [path, "b.wav"]

    def test_a_path_with_an_equals_sign_is_no_setting(self) -> None:
        assert composed(AdaptJob, "s3://bucket/day=1/users.csv").users == "s3://bucket/day=1/users.csv"
        assert composed(AdaptJob, "data/day=1/users.csv").users == "data/day=1/users.csv"

    @pytest.mark.parametrize(
        "path",
        [
            *("tokenized=1/m.csv", "token=1/users.parquet", "s3://b/token=1/m.csv", "s3://b/secret=x/m.jsonl.gz"),
            *("day=2026-11-27/users.csv", "${HOME}/users.csv", "a\\${b}\\.csv", "./${oc.env:HOME}.csv", "$x/${y.csv"),
        ],
    )
    def test_paths_with_signs_of_other_languages(self, path: str) -> None:
        assert composed(AdaptJob, path).users == path
        assert composed(AdaptJob, f"users={path}").users == path
        assert composed(TranscribeJob, f"manifest={path}").manifest == path

    def test_audio_whose_name_holds_an_equals_sign(self) -> None:
        names = ["epoch=3.flac", "step=1-${loss}.wav", "a=b.mp3"]
        assert composed(TranscribeJob, *names).audio == names
        assert composed(TranscribeJob, "audio=['${x}.wav',b.wav]").audio == ["${x}.wav", "b.wav"]

    def test_a_file_that_is_there_is_meant(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        for name in ("epoch=3", "token=hunter2", "data=mine"):
            (tmp_path / name).write_text("")
            assert composed(TranscribeJob, name).audio == [name]
        assert composed(TranscribeJob, "data=strict").audio == []

    def test_every_file_that_is_read_is_known_by_its_name(self) -> None:
        assert set(FILE_SUFFIXES) >= {*AUDIO_SUFFIXES, *TABLES, GZIP, TRN}

    def test_a_misspelt_setting_is_no_path(self) -> None:
        assert "did you mean users?" in mistakes("adapt_users", "user=u.csv")
        assert "did you mean storage.root?" in mistakes("adapt_users", "storge.root=./x/y")
        assert "unknown setting epoch" in mistakes("transcribe", "epoch=3")
        assert "unknown setting day" in mistakes("train", "day=1/users.csv")  # which takes no paths


class TestMistakes:
    @pytest.mark.parametrize(
        ("argument", "expected"),
        [
            ("train.batchsize=4", "did you mean train.batch_size?"),
            ("modle=ds2", "did you mean model?"),
            ("num_epochs=3", "did you mean train.num_epochs?"),
            ("trian.seed=3", "did you mean train.seed?"),
            (
                "model=ds3",
                "one of brisk, brisk_large, conformer_small, ds2, ds2_large, ds2_small, tiny is wanted "
                "(did you mean ds2?)",
            ),
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
            "api_token=hunter2",
            "storage.secrets=hunter2",
            "users=s3://b/u.csv?token=hunter2",
            "users=http://host/u.csv#access_token=hunter2",
            "users=https://host/u.csv?sv=2020&sig=hunter2",
            "users=https://host/u.csv?X-Goog-Signature=hunter2",
            "storage.root=Protocol=https;AccountKey=hunter2",
            "users=hf_hunter2hunter2hunter2",
            "users=ghp_hunter2hunter2hunter2hunter2hunter2",
            "base=eyJhbGciOiJI.eyJodW50ZXIy.hunter2",
            "run_id={password: hunter2}",
            "run_id=token=hunter2",
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

    @pytest.mark.parametrize(
        "path",
        [
            "s3://bucket/tokens/users.csv",
            "./secret-santa.csv",
            "http://host:9000/a@b.csv",
            "tokenizer=x.csv",
            "sig=1/users.csv",
            "/mnt/hf_cache/signature/users.csv",
        ],
    )
    def test_ordinary_paths_are_none(self, path: str) -> None:
        assert composed(AdaptJob, path).users == path


MAY_BE_INFINITE = (
    "adapt.canary_max_rise",
    "adapt.max_anchor_rise",
    "adapt.retry_unusable_after_h",
    "data.max_duration_s",
    "fresh_s",
    "spread.from_s",
)


class TestNumbers:
    @pytest.mark.parametrize("job_name", JOBS)
    def test_every_one_has_to_be_finite(self, job_name: str) -> None:
        schema = JOBS[job_name].schema
        numbers = [setting for setting in settings(schema).values() if setting.type in (float, list[float])]
        for setting in numbers:
            *sections, name = setting.key.split(".")
            for number in (math.nan, -math.inf, *([] if setting.key in MAY_BE_INFINITE else [math.inf])):
                job = schema()
                section = functools.reduce(getattr, sections, job)
                object.__setattr__(section, name, [number] if setting.type == list[float] else number)
                with pytest.raises(ConfigError, match=f"^{re.escape(setting.key)}=.* is not possible"):
                    require_finite(job)
        for key in [setting.key for setting in numbers[-1:]]:
            assert f"{key}=nan is not possible" in mistakes(job_name, f"{key}=nan")

    def test_a_limit_that_nothing_reaches_may_be_infinite(self) -> None:
        assert composed(AdaptJob, "data.max_duration_s=inf").data.max_duration_s == math.inf
        assert "data.max_duration_s=nan is not possible" in mistakes("adapt_users", "data.max_duration_s=nan")

    def test_from_python_too(self) -> None:
        with pytest.raises(ConfigError, match="batch_s=nan is not possible"):
            TranscribeJob(batch_s=math.nan)
        with pytest.raises(ConfigError, match=r"train.max_grad_norm=inf is not possible: a finite number"):
            TrainJob(train=TrainConfig(max_grad_norm=math.inf))


class TestWithoutEffect:
    """Settings that others make meaningless are refused; what a preset brings is not."""

    FINE_TUNING = ("train.manifest=m.csv", "train.pretrained_model_path=m.pt")
    ADAPTER = ("train.manifest=m.csv", "train.base_model_path=m.pt", "train.adapter_name=ann")

    @pytest.mark.parametrize("start", [FINE_TUNING, ADAPTER])
    @pytest.mark.parametrize("setting", ["model.rnn_hidden_dim=96", "audio.num_mels=40", "text.lower_case=false"])
    def test_the_model_file_says_it(self, start: tuple[str, ...], setting: str) -> None:
        assert f"{setting.partition('=')[0]} is of no use beside train." in mistakes("train", *start, setting)
        assert composed(TrainJob, "train.manifest=m.csv", setting)
        assert composed(TrainJob, "model=ds2", *start)

    def test_the_data_is_said_otherwise(self) -> None:
        manifest = "train.manifest=m.csv"
        told = mistakes("train", manifest, "train.valid_manifest=v.csv", "train.valid_fraction=0.2")
        assert told.startswith("train.valid_fraction is of no use beside train.valid_manifest: nothing is held out")
        assert "train.dataset_path is of no use" in mistakes("train", manifest, "train.dataset_path=./data")

    def test_no_adapter_is_trained(self) -> None:
        for setting in ("adapter.hidden_dims=[64]", "train.adapter_save_dir=./a"):
            assert "is of no use without train.base_model_path" in mistakes("train", "train.manifest=m.csv", setting)
            assert composed(TrainJob, *self.ADAPTER, setting)
        told = mistakes("prepare", "m.csv", "output=out", "prepare.base=model.pt")
        assert "prepare.base is of no use without data.segment_long: nothing is cut" in told

    def test_nothing_holds_adapters_without_an_anchor(self) -> None:
        for setting in ("adapt.anchor_weight=1", "adapt.max_anchor_rise=0.05"):
            assert "is of no use without adapt.anchor_manifest" in mistakes("adapt_users", "users.csv", setting)
            assert composed(AdaptJob, "users.csv", "adapt.anchor_manifest=train.csv", setting)
