"""jobs/prepare.py as it is used: from corpus to adapters and a base, killed and run again, and in a bucket."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from corpora import write_common_voice, write_tone, write_users
from fleet_runs import (
    TINY_TRAINING,
    RandomBase,
    adapt_users,
    finish,
    job_of,
    run_job,
    run_job_here,
    spoken,
    start_job,
    wait_for,
)

from ds2ray import storage
from ds2ray.commands import adapt_users as adapt
from ds2ray.commands.prepare import run
from ds2ray.config import PackBy, PrepareConfig, PrepareJob
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.packs.files import content_version, read_shard
from ds2ray.store.outcomes import Status
from ds2ray.tables.manifest import read_manifest, write_manifest

ALLISON = Path(__file__).resolve().parents[2].parent / "shared" / "speech" / "allison-en"


def packs(output: Path) -> dict[str, int]:
    """Names of all packs, with the time of their last change in ns."""
    return {path.name: path.stat().st_mtime_ns for path in output.glob("*/*.*.parquet")}


class TestFromCorpusToModels:
    def test_packed_users_are_adapted_and_only_changed_ones_again(
        self,
        ray_cluster: str,
        random_base: RandomBase,
        small_corpus: DemoCorpus,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        users = ("fiona", "tony", "seo'yeon k.")
        sources = [u for user, u in zip(users, list(spoken(small_corpus).values())[:3], strict=True)]
        corpus, packed = str(tmp_path / "corpus.csv"), str(tmp_path / "packed")
        write_manifest(corpus, [replace(u, user_id=user) for user, s in zip(users, sources, strict=True) for u in s])
        root = random_base.publish(str(tmp_path / "store"))
        job = PrepareJob(source=corpus, output=packed)
        assert run(job) == 0
        code, trained = adapt_users(root, f"{packed}/users.parquet", "first")
        assert (code, {o.status for o in trained.values()}) == (0, {Status.adapted})
        assert sorted(trained) == ["fiona", "seo%27yeon%20k%2E", "tony"]
        assert {o.utterances_used for o in trained.values()} == {6}

        text = Path(corpus).read_text()
        changed = sources[1][0].transcript
        Path(corpus).write_text(text.replace(f",{changed}\n", f",{sources[1][1].transcript}\n"))
        assert run(job) == 0
        capsys.readouterr()
        assert adapt.run(job_of(root, f"{packed}/users.parquet", dry_run=True)) == 0
        assert "0 new · 1 changed · 2 unchanged · 0 skipped" in capsys.readouterr().out

    def test_a_base_is_trained_on_a_shard_and_validated_on_a_user(
        self, small_corpus: DemoCorpus, tmp_path: Path
    ) -> None:
        shards, users = str(tmp_path / "shards"), str(tmp_path / "users")
        by_shard = PrepareConfig(by=PackBy.shard)
        assert run(PrepareJob(source=small_corpus.train_manifest, output=shards, prepare=by_shard)) == 0
        assert run(PrepareJob(source=small_corpus.valid_manifest, output=users)) == 0
        (shard,) = tmp_path.glob("shards/shards/shard-*.parquet")
        user = min(tmp_path.glob("users/users/*.*.parquet"))
        done = run_job_here(
            "train",
            *(*TINY_TRAINING, f"train.manifest={shard}", f"train.valid_manifest={user}", "cluster.num_workers=0"),
            *(f"train.output_dir={tmp_path / 'outputs'}", f"storage.root={tmp_path / 'store'}"),
        )
        assert done.code == 0, done
        assert "20 training utterances" in done.out
        assert "1 for validation" in done.out
        assert (tmp_path / "outputs/model.pt").exists()

    def test_real_speech_is_packed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        if not ALLISON.is_dir():
            pytest.skip("../shared/speech/allison-en is not here")
        output = str(tmp_path / "packed")
        assert run(PrepareJob(source=str(ALLISON), output=output, prepare=PrepareConfig(by=PackBy.shard))) == 0
        assert "rows: 539 read = 539 packed" in capsys.readouterr().out
        (shard,) = {row["shard"] for row in storage.read_table(f"{output}/manifest.parquet").to_pylist()}
        given = {u.utterance_id: u for u in read_manifest(str(ALLISON / "utterances.jsonl")).utterances}
        for u in read_shard(f"{output}/{shard}"):
            known = given.pop(u.utterance_id)
            assert (u.user_id, u.transcript, u.audio) == (
                *(known.user_id, known.transcript),
                storage.read_bytes(str(known.audio)),
            )
            assert u.duration_s == pytest.approx(known.duration_s, abs=1e-3)
        assert given == {}


NUM_USERS = 100


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Many users with little speech."""
    return write_users(tmp_path_factory.mktemp("corpus"), NUM_USERS, 1)


@pytest.mark.process
class TestInterruptions:
    @contextmanager
    def half_done(self, corpus: str, output: Path) -> "Iterator[subprocess.Popen[str]]":
        """The job when it has packed some users, and not all."""
        process = start_job("prepare", corpus, f"output={output}", "prepare.threads=1")
        try:
            wait_for(lambda: len(packs(output)) >= 10, process)
            yield process
        finally:
            process.kill()
            finish(process)

    def check_second_run(self, corpus: str, output: Path, capsys: pytest.CaptureFixture[str]) -> str:
        before = packs(output)
        assert 10 <= len(before) < NUM_USERS
        assert not (output / "users.parquet").exists()
        assert run(PrepareJob(source=corpus, output=str(output))) == 0
        out = capsys.readouterr().out
        after = packs(output)
        assert {name: after[name] for name in before} == before
        rows = storage.read_table(str(output / "users.parquet")).to_pylist()
        assert [row["user_id"] for row in rows] == sorted({u.user_id for u in read_manifest(corpus).utterances})
        assert {Path(row["manifest"]).name for row in rows} == set(after)
        for row in rows[:: NUM_USERS // 10]:
            assert content_version(read_shard(str(output / row["manifest"]))) == row["version"]
        assert sorted(path.name for path in output.iterdir()) == ["dropped.csv", "users", "users.parquet"]
        beside = {path.name for path in (output / "users").glob("[!.]*.*")} - set(after)
        assert beside == {"packed.parquet", "grace.json"}
        assert f"packs: {len(after) - len(before)} written" in out
        return out

    def test_killed_and_run_again(self, corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with self.half_done(corpus, tmp_path) as process:
            process.kill()
        out = self.check_second_run(corpus, tmp_path, capsys)
        assert "0 unchanged" in out  # nothing was noted yet: they are read again, and not written

    def test_stopped_and_run_again(self, corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with self.half_done(corpus, tmp_path) as process:
            process.terminate()
            done = finish(process)
        assert done.code == 75
        assert done.err == "jobs/prepare.py: interrupted; run it again to do what is unfinished\n"
        num_stored = len(packs(tmp_path))
        out = self.check_second_run(corpus, tmp_path, capsys)
        # what was being packed when the signal came is stored, and not noted
        assert f"0 with the content they had, {num_stored} unchanged" in out or (
            f"1 with the content they had, {num_stored - 1} unchanged" in out
        )


@pytest.mark.process
class TestBucket:
    def test_there_and_back(self, s3_root: str, tmp_path: Path) -> None:
        rows = ["o'neil x.y\tcommon_voice_en_0.mp3\tYes.\t2", "aa\tcommon_voice_en_1.mp3\tNo.\t2"]
        write_common_voice(tmp_path, {"train.tsv": [*rows, "aa\tcommon_voice_en_9.mp3\tGone.\t2"]})
        for path in tmp_path.rglob("*.*"):
            storage.write_bytes(storage.join(s3_root, "cv", str(path.relative_to(tmp_path))), path.read_bytes())
        output = storage.join(s3_root, "packed")
        argv = (f"{s3_root}/cv", f"output={output}")
        done = run_job("prepare", *argv)
        assert done.code == 0, done
        assert "common_voice, 3 rows" in done.out
        assert "rows: 3 read = 2 packed" in done.out
        users = storage.read_table(f"{output}/users.parquet").to_pylist()
        assert [row["user_id"] for row in users] == ["aa", "o'neil x.y"]
        for row, clip in zip(users, ("1", "0"), strict=True):
            (u,) = read_manifest(storage.resolve(row["manifest"], f"{output}/users.parquet")).utterances
            assert u.audio == (tmp_path / f"clips/common_voice_en_{clip}.mp3").read_bytes()
            assert u.duration_s == row["speech_s"]
        assert b"there is no such file" in storage.read_bytes(f"{output}/dropped.csv")

        before = storage.list_objects(output, recursive=True)
        assert run(PrepareJob(source=argv[0], output=output)) == 0
        assert [info for info in storage.list_objects(output, recursive=True) if info.uri.count(".") > 1] == [
            info for info in before if info.uri.count(".") > 1
        ]
        assert run(PrepareJob(source=argv[0], output=output, prepare=PrepareConfig(by=PackBy.shard))) == 0
        table = storage.read_table(f"{output}/manifest.parquet").to_pylist()
        (shard,) = {row["shard"] for row in table}
        assert {u.utterance_id for u in read_shard(f"{output}/{shard}")} == {row["utterance_id"] for row in table}


def test_what_cannot_be_packed_is_one_message(tmp_path: Path) -> None:
    write_tone(tmp_path / "in/a.wav")
    done = run_job_here("prepare", str(tmp_path / "in"), f"output={tmp_path / 'out'}")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"jobs/prepare.py: {tmp_path / 'in'}: none of the known formats fits its 1 files")
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()
