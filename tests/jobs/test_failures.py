"""Jobs that cannot do their work: one message and an exit code, no traceback, and nothing is started."""

from pathlib import Path

import pytest
from fleet_runs import Finished, RandomBase, run_job, run_job_here, run_warm_job

from ds2ray.demo.corpus import DemoCorpus
from ds2ray.store import Store, lease


def refused(done: Finished, job_name: str, exit_code: int) -> str:
    """The job's one message."""
    assert done.code == exit_code, done
    assert "Traceback" not in done.out + done.err
    prefix = f"jobs/{job_name}.py: "
    assert done.err.startswith(prefix)
    message = done.err.removeprefix(prefix).strip()
    assert prefix not in message
    return message


def no_run(root: str) -> bool:
    """Whether a store has seen no run at all."""
    return not any((Path(root) / name).exists() for name in ("runs", "index/users.parquet", "index/pending"))


class TestWrongInput:
    def test_a_missing_users_table(self, random_base: RandomBase, tmp_path: Path) -> None:
        users = tmp_path / "users.csv"
        message = refused(run_job_here("adapt_users", str(users), f"storage.root={random_base.root}"), "adapt_users", 2)
        assert message.startswith(f"{users}: ")
        assert len(message.splitlines()) == 1
        assert no_run(random_base.root)

    def test_no_users_table_at_all(self, random_base: RandomBase) -> None:
        message = refused(run_job_here("adapt_users", f"storage.root={random_base.root}"), "adapt_users", 2)
        assert message == "users is missing: give a table `user_id,manifest`: python jobs/adapt_users.py users.csv"

    def test_bad_rows_are_listed_all_at_once_with_file_and_line(
        self, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
    ) -> None:
        users = tmp_path / "users.csv"
        users.write_text("user_id,manifest\nann,ann.csv\n,bob.csv\nann,again.csv\ncarl,\ndora,dora.csv\n")
        message = refused(run_job_here("adapt_users", str(users), f"storage.root={random_base.root}"), "adapt_users", 2)
        assert "3 rows cannot be used" in message.splitlines()[0]
        for line in (3, 4, 5):
            assert f"{users}:{line}" in message
        assert len(message.splitlines()) == 4
        assert no_run(random_base.root)

    def test_bad_rows_of_one_manifest_are_listed_all_at_once(self, random_base: RandomBase, tmp_path: Path) -> None:
        table = tmp_path / "all.csv"
        table.write_text(
            "user_id,audio,duration_s,transcript\nann,a.wav,long,buy tea\n,b.wav,1.0,buy tea\nann,,1.0,buy tea\n"
        )
        message = refused(run_job_here("adapt_users", str(table), f"storage.root={random_base.root}"), "adapt_users", 2)
        assert [f"{table}:{line}" in message for line in (2, 3, 4)] == [True, True, True]
        assert no_run(random_base.root)

    @pytest.mark.parametrize("job_name", ["adapt_users", "transcribe"])
    @pytest.mark.parametrize("base", ["0123456789abcdef", "/nowhere/bases/0123456789abcdef", "nowhere/model.pt"])
    def test_a_wrong_base(self, random_base: RandomBase, small_corpus: DemoCorpus, job_name: str, base: str) -> None:
        given = small_corpus.users_csv if job_name == "adapt_users" else f"manifest={small_corpus.test_manifest}"
        done = run_job_here(job_name, given, f"storage.root={random_base.root}", f"base={base}")
        message = refused(done, job_name, 2)
        assert base in message
        assert len(message.splitlines()) == 1
        assert no_run(random_base.root)

    def test_a_wrong_base_is_answered_with_the_bases_that_there_are(
        self, random_base: RandomBase, small_corpus: DemoCorpus
    ) -> None:
        done = run_job_here("adapt_users", small_corpus.users_csv, f"storage.root={random_base.root}", "base=nothing")
        assert f"bases there: {random_base.base.base_id}" in refused(done, "adapt_users", 2)

    @pytest.mark.process
    @pytest.mark.parametrize("job_name", ["adapt_users", "transcribe"])
    def test_an_empty_store(self, small_corpus: DemoCorpus, tmp_path: Path, job_name: str) -> None:
        given = small_corpus.users_csv if job_name == "adapt_users" else f"manifest={small_corpus.test_manifest}"
        done = run_job(job_name, given, f"storage.root={tmp_path / 'store'}")
        assert refused(done, job_name, 2).startswith(f"no base in {tmp_path / 'store'}: train one with jobs/train.py")
        assert not (tmp_path / "store").exists()

    @pytest.mark.process
    def test_training_without_data(self) -> None:
        assert refused(run_job("train"), "train", 2).startswith("no training data: give train.manifest=")

    def test_training_on_a_missing_manifest(self, tmp_path: Path) -> None:
        message = refused(run_job_here("train", f"train.manifest={tmp_path / 'none.csv'}"), "train", 2)
        assert message.startswith(f"{tmp_path / 'none.csv'}: ")

    def test_transcribing_nothing(self, random_base: RandomBase) -> None:
        message = refused(run_job_here("transcribe", f"storage.root={random_base.root}"), "transcribe", 2)
        assert message.startswith("give either audio files")


class TestWrongSettings:
    @pytest.mark.parametrize(
        ("job_name", "argument", "hint"),
        [
            ("adapt_users", "adapt.num_epoch=3", "unknown setting adapt.num_epoch (did you mean adapt.num_epochs?)"),
            ("train", "train.learnin_rate=1", "unknown setting train.learnin_rate (did you mean train.learning_rate?)"),
            ("transcribe", "outptu=a.csv", "unknown setting outptu (did you mean output?)"),
        ],
    )
    def test_a_misspelt_key(self, job_name: str, argument: str, hint: str) -> None:
        assert refused(run_job_here(job_name, argument), job_name, 2) == hint

    @pytest.mark.process
    def test_no_ray_cluster_at_the_address(
        self, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
    ) -> None:
        root = random_base.publish(str(tmp_path / "store"))
        for address in ("127.0.0.1:1", "nonsense"):
            argv = (small_corpus.users_csv, f"storage.root={root}", f"cluster.address={address}")
            done = run_warm_job("adapt_users", *argv)
            assert refused(done, "adapt_users", 2).startswith(f"no Ray cluster at '{address}'")
        assert no_run(root)
        assert lease.read_lease(Store(root)) is None


@pytest.mark.process
class TestUnusableStore:
    def test_no_such_server(self, s3_root: str, small_corpus: DemoCorpus) -> None:
        done = run_job(
            "adapt_users", small_corpus.users_csv, f"storage.root={s3_root}", "storage.endpoint_url=http://127.0.0.1:9"
        )
        message = refused(done, "adapt_users", 5)
        assert s3_root in message
        assert "check the network and the endpoint" in message
        assert len(message.splitlines()) == 1

    @pytest.mark.parametrize("job_name", ["adapt_users", "transcribe", "train"])
    def test_wrong_credentials(self, s3_root: str, small_corpus: DemoCorpus, tmp_path: Path, job_name: str) -> None:
        given = {
            "adapt_users": [small_corpus.users_csv, f"storage.root={s3_root}"],
            "transcribe": [f"manifest={small_corpus.test_manifest}", f"storage.root={s3_root}"],
            "train": [f"train.manifest={s3_root}/train.csv", f"train.output_dir={tmp_path}"],
        }
        done = run_job(job_name, *given[job_name], AWS_SECRET_ACCESS_KEY="wrong")
        message = refused(done, job_name, 5)
        assert s3_root in message
        assert "check the credentials" in message
        assert len(message.splitlines()) == 1
