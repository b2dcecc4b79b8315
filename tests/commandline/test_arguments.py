"""Arguments on a command line: text is taken as it is, mistakes are told all at once, and secrets are refused."""

import hypothesis
import pytest
from composing import composed, mistakes
from hypothesis import given
from hypothesis import strategies as st

from ds2ray.config import (
    AdaptJob,
    TranscribeJob,
)


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
            ("model=ds3", "one of conformer_small, ds2, ds2_large, ds2_small, tiny is wanted (did you mean ds2?)"),
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
