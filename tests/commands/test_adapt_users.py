"""A fleet run end to end: what is trained, what is published, what is left alone, and what every user is told."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fleet_runs import (
    ADAPTER,
    ROOT,
    SETTINGS,
    RandomBase,
    adapt_users,
    changed_outcomes,
    job_of,
    run_job,
    spoken,
    write_users,
)
from toy_fleet import make_users, silent_base

from ds2ray import storage
from ds2ray.commands import adapt_users as adapt
from ds2ray.config import DataConfig, ProbeAudio
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.errors import ConfigError
from ds2ray.model.stored import open_adapter
from ds2ray.store import Store, lease, read_pointer
from ds2ray.store.index import read_index
from ds2ray.store.outcomes import Status, read_outcomes
from ds2ray.tables.manifest import Utterance, write_manifest


@dataclass(frozen=True)
class FirstRun:
    root: str
    users: str  # a copy of the corpus's table, whose manifests may be changed
    folder: Path


@pytest.fixture(scope="module")
def first_run(
    ray_cluster: str, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path_factory: pytest.TempPathFactory
) -> FirstRun:
    """A store after one run over all users of the corpus, from a table `user_id,manifest`."""
    folder = tmp_path_factory.mktemp("fleet")
    rows = ["user_id,manifest"]
    for user, utterances in spoken(small_corpus).items():
        write_manifest(str(folder / f"{user}.csv"), utterances)
        rows.append(f"{user},{user}.csv")
    (folder / "users.csv").write_text("\n".join(rows) + "\n")
    run = FirstRun(random_base.publish(str(folder / "store")), str(folder / "users.csv"), folder)
    code, trained = adapt_users(run.root, run.users, "first")
    assert (code, len(trained)) == (0, len(small_corpus.user_ids))
    return run


def everything(root: str) -> dict[str, tuple[int, int]]:
    """All files below a folder, with size and time of the last change in ns."""
    found = (path for path in Path(root).rglob("*") if path.is_file())
    return {str(path.relative_to(root)): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def versions(root: str, users: DemoCorpus) -> dict[str, str]:
    pointers = {user: read_pointer(Store(root), user) for user in users.user_ids}
    return {user: pointer.version for user, pointer in pointers.items() if pointer is not None}


class TestRun:
    def test_every_user_has_one_row_and_the_adapter_it_tells_of(
        self, first_run: FirstRun, random_base: RandomBase, small_corpus: DemoCorpus
    ) -> None:
        rows = read_outcomes(Store(first_run.root), "first")
        assert [row.user_key for row in rows] == sorted(small_corpus.user_ids)
        assert {row.status for row in rows} == {Status.adapted}
        for row in rows:
            found = open_adapter(Store(first_run.root), row.user_key, random_base.base)
            assert found is not None
            pointer, adapter = found
            assert (pointer.version, pointer.sha256, pointer.run_id) == (row.version, row.sha256, "first")
            assert (pointer.error_before, pointer.error_after) == (row.error_before, row.error_after)
            assert (pointer.seq, pointer.data_fingerprint) == (1, row.fingerprint)
            assert adapter.config.hidden_dims == ADAPTER.hidden_dims
            assert (row.utterances_used, row.utterances_dropped, row.attempts) == (6, 0, 1)
            assert row.seconds > 0

    def test_the_run_leaves_its_plan_and_summary_and_no_mark(
        self, first_run: FirstRun, random_base: RandomBase, small_corpus: DemoCorpus
    ) -> None:
        summary = storage.read_json(f"{first_run.root}/runs/first/summary.json")
        assert (summary["users"], summary["trained"], summary["statuses"]["adapted"]) == (8, 8, 8)
        assert (summary["exit_code"], summary["interrupted"]) == (0, False)
        assert summary["base_fingerprint"] == random_base.base.fingerprint
        assert list(summary["stages"]) == ["planning", "starting", "training", "settling"]
        assert summary["gpus"] == 0.0
        plan = storage.read_table(f"{first_run.root}/runs/first/plan.parquet")
        assert plan["user_key"].to_pylist() == sorted(small_corpus.user_ids)
        assert set(plan["change"].to_pylist()) == {"new"}
        assert storage.list_objects(f"{first_run.root}/index/pending") == []
        assert lease.read_lease(Store(first_run.root)) is None

    @pytest.mark.process
    def test_again_nothing_is_published_and_neither_ray_nor_torch_is_imported(
        self, first_run: FirstRun, small_corpus: DemoCorpus
    ) -> None:
        before = versions(first_run.root, small_corpus), everything(f"{first_run.root}/users")
        code = (
            "import sys, atexit\n"
            "atexit.register(lambda: print({'ray', 'torch'} & set(sys.modules), file=sys.stderr))\n"
            "from ds2ray.commandline.main import main; main(['adapt-users', *sys.argv[1:]])\n"
        )
        argv = [first_run.users, f"storage.root={first_run.root}", "run_id=again", *SETTINGS]
        done = subprocess.run(
            [sys.executable, "-c", code, *argv], capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert (done.returncode, done.stderr) == (0, "set()\n")
        assert "8 unchanged" in done.stdout
        assert "all 8 users unchanged: nothing to do" in done.stdout
        summary = storage.read_json(f"{first_run.root}/runs/again/summary.json")
        assert (summary["users"], summary["statuses"]["unchanged"], summary["trained"]) == (8, 8, 0)
        assert [row.status for row in read_outcomes(Store(first_run.root), "again")] == [Status.unchanged] * 8
        assert (versions(first_run.root, small_corpus), everything(f"{first_run.root}/users")) == before

    def test_one_manifest_of_all_users_means_the_same_as_a_table(
        self, first_run: FirstRun, small_corpus: DemoCorpus
    ) -> None:
        together = write_users(str(first_run.folder / "together.parquet"), spoken(small_corpus))
        assert adapt_users(first_run.root, together, "together") == (0, {})
        assert storage.read_json(f"{first_run.root}/runs/together/summary.json")["statuses"]["unchanged"] == 8

    def test_a_dry_run_writes_nothing(
        self, first_run: FirstRun, capsys: pytest.CaptureFixture[str], small_corpus: DemoCorpus
    ) -> None:
        before = everything(str(first_run.folder))
        job = job_of(first_run.root, first_run.users, dry_run=True, force=True, max_concurrent_trials=3)
        assert adapt.run(job) == 0
        out = capsys.readouterr().out
        assert "0 new · 8 changed · 0 unchanged · 0 skipped" in out
        assert "to train: 8 users, " in out
        assert "in 3 cohorts of up to 3 users" in out
        assert everything(str(first_run.folder)) == before

    def test_a_run_id_is_used_once(self, first_run: FirstRun) -> None:
        with pytest.raises(ConfigError, match="run_id=first: .* has a run of this name"):
            adapt.run(job_of(first_run.root, first_run.users, "first"))

    def test_exactly_the_user_is_trained_whose_transcript_has_changed(
        self, first_run: FirstRun, small_corpus: DemoCorpus
    ) -> None:
        utterances = spoken(small_corpus)["gary"]
        changed = [replace(utterances[0], transcript=utterances[1].transcript), *utterances[1:]]
        write_manifest(str(first_run.folder / "gary.csv"), changed)
        code, trained = adapt_users(first_run.root, first_run.users, "changed")
        assert (code, list(trained)) == (0, ["gary"])
        # a version alone does not tell: where the utterance is a held-out one, the weights are the same
        pointers = {user: read_pointer(Store(first_run.root), user) for user in small_corpus.user_ids}
        assert {user for user, pointer in pointers.items() if pointer and pointer.run_id == "changed"} == {"gary"}
        statuses = storage.read_json(f"{first_run.root}/runs/changed/summary.json")["statuses"]
        assert (statuses["adapted"], statuses["unchanged"]) == (1, 7)

    @pytest.mark.process
    def test_another_live_run_is_let_alone(self, first_run: FirstRun) -> None:
        with lease.held(Store(first_run.root), "somebody"):
            before = everything(first_run.root)
            done = run_job("adapt_users", first_run.users, f"storage.root={first_run.root}", *SETTINGS)
            assert done.code == 75
            assert done.err.startswith("jobs/adapt_users.py: run somebody on ")
            assert len(done.err.splitlines()) == 1
            assert everything(first_run.root) == before


class TestGate:
    def test_users_keep_what_they_have_where_training_brings_nothing(
        self, ray_cluster: str, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
    ) -> None:
        """The same two users three times: adapted, trained so little that nothing changes, and trained by force."""
        root = random_base.publish(str(tmp_path / "store"))
        two = {user: spoken(small_corpus)[user] for user in ("fiona", "tony")}
        users = write_users(str(tmp_path / "users.jsonl"), two)
        assert adapt_users(root, users, "one")[0] == 0
        before = {user: read_pointer(Store(root), user) for user in two}
        code, trained = adapt_users(root, users, "two", learning_rate=1e-40)
        assert (code, {row.status for row in trained.values()}) == (0, {Status.kept_previous})
        assert all("did not lower the held-out loss" in row.reason for row in trained.values())
        assert all(row.version == "" for row in trained.values())
        assert {user: read_pointer(Store(root), user) for user in two} == before
        # who kept the previous adapter is done with these settings, and what they have is still known
        assert adapt_users(root, users, "three", learning_rate=1e-40) == (0, {})
        assert {row.version for row in read_index(Store(root)).values()} == {p.version for p in before.values() if p}
        # trained by force with the settings of the first run, the same adapters are published again
        code, trained = adapt_users(root, users, "four", force=True)
        assert (code, {row.status for row in trained.values()}) == (0, {Status.adapted})
        for user, pointer in before.items():
            again = read_pointer(Store(root), user)
            assert again is not None
            assert pointer is not None
            assert (again.version, again.seq, again.run_id) == (pointer.version, pointer.seq + 1, "four")


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


class TestBadUsers:
    def test_they_are_rows_that_say_why_and_stop_nobody_else(
        self, first_run: FirstRun, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
    ) -> None:
        good = spoken(small_corpus)
        names = [f"u{number}" for number in range(6)]
        rng = np.random.default_rng(0)
        for name in names:
            (tmp_path / f"{name}-bytes.wav").write_bytes(rng.bytes(4000))
            (tmp_path / f"{name}-empty.wav").touch()
            soundfile.write(tmp_path / f"{name}-nan.wav", np.full(24000, np.nan, np.float32), 16000, subtype="FLOAT")
            noise = rng.standard_normal(24000).astype(np.float32) / 10
            soundfile.write(tmp_path / f"{name}-noise.wav", noise, 16000)

        def saying(kind: str, duration_s: float | None) -> list[Utterance]:
            return [Utterance("", "", str(tmp_path / f"{n}-{kind}.wav"), duration_s, "buy tea", 0) for n in names]

        cohort = {
            "good": good["fiona"],
            "mixed": [*good["tony"], *saying("bytes", None)[:2]],
            "bytes": saying("bytes", None),
            "trusted": saying("bytes", 1.5),  # a manifest that gives durations is believed until the audio is read
            "empty": saying("empty", 1.5),
            "missing": saying("not-there", 1.5),
            "nan": saying("nan", 1.5),
            "noise": saying("noise", 1.5),
            "single": good["grace"][:1],
            "hank": good["hank"],
            "gary": good["gary"],
        }
        users = write_users(str(tmp_path / "users.parquet"), cohort)
        # two users have adapters of an earlier run, and they are damaged: the weights of one, the pointer of the other
        root = shutil.copytree(first_run.root, str(tmp_path / "store"))
        damage(next((tmp_path / "store/users/hank").glob("*.safetensors")))
        (tmp_path / "store/users/gary/current.json").write_text("{}")

        job = job_of(root, users, "bad", force=True)
        assert adapt.run(replace(job, data=DataConfig(probe_audio=ProbeAudio.missing))) == 3
        rows = {user: row.status.value for user, row in read_index(Store(root)).items() if user in cohort}
        trained = changed_outcomes(root, "bad")
        told = storage.read_json(f"{root}/runs/bad/summary.json")
        assert (told["users"], told["exit_code"]) == (len(cohort), 3)
        assert rows == {
            **dict.fromkeys(("good", "mixed", "hank", "noise"), "adapted"),
            **dict.fromkeys(("bytes", "trusted", "empty", "missing", "nan", "single"), "skipped_no_data"),
            "gary": "failed",
        }
        assert trained["mixed"].utterances_dropped == 2
        assert trained["trusted"].utterances_dropped == trained["nan"].utterances_dropped == 6
        too_few = "usable utterances, at least 4 are needed"
        assert trained["trusted"].reason.startswith(f"0 {too_few} (6 × cannot be decoded as audio")
        assert trained["nan"].reason == f"0 {too_few} (6 × holds samples that are not finite)"
        assert trained["bytes"].reason == f"0 {too_few} (6 × audio cannot be decoded as audio)"
        assert trained["empty"].reason == f"0 {too_few} (6 × audio is empty)"
        assert trained["missing"].reason == f"0 {too_few} (6 × audio there is no such file)"
        assert trained["single"].reason == f"1 {too_few}"
        assert "fields are missing" in trained["gary"].reason
        assert told["failures"] == {trained["gary"].reason: 1}
        assert open_adapter(Store(root), "hank", random_base.base) is not None


class TestCohorts:
    def test_however_users_are_packed_the_same_versions_are_published(
        self, first_run: FirstRun, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
    ) -> None:
        """Three users, each alone, in another order, against the same three in a cohort of eight."""
        three = ("tony", "grace", "edith")
        root = random_base.publish(str(tmp_path / "store"))
        users = write_users(str(tmp_path / "users.csv"), {user: spoken(small_corpus)[user] for user in three})
        assert adapt_users(root, users, "alone", max_cohort_users=1)[0] == 0
        together = versions(first_run.root, small_corpus)
        assert versions(root, small_corpus) == {user: together[user] for user in three}

    def test_they_are_packed_for_the_cluster_that_is_found(
        self, ray_cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "cpu_count", lambda: 1)  # of this machine; the cluster has two
        root = silent_base(str(tmp_path / "store")).root
        users = make_users(tmp_path, dict.fromkeys(("ann", "bob", "cy", "dee"), 6))
        code, trained = adapt_users(root, users, "run", max_concurrent_trials=0)
        assert (code, len(trained)) == (0, 4)
        told = capsys.readouterr().out
        assert "in 1 cohort of up to 4 users" in told
        assert re.search(
            r"2 cohorts of up to 2 users and .* instead: the cluster has room for 2 at once, with [\d.]+ GB", told
        )
        cohorts = storage.read_table(f"{root}/runs/run/plan.parquet")["cohort"].to_pylist()
        assert sorted(cohorts) == [0, 0, 1, 1]
