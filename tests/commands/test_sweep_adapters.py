"""A sweep from start to end: trials, files in the store, going on after an interruption, and best.yaml as it is run."""

import csv
import io
import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
from fleet_runs import RandomBase

from ds2ray.cluster.sweep import SweepTrials
from ds2ray.commandline.composing import compose_job
from ds2ray.commands.adapt_users import run as adapt_users
from ds2ray.commands.sweep_adapters import run
from ds2ray.config import (
    AdaptConfig,
    AdapterKind,
    AdaptJob,
    ClusterConfig,
    StorageConfig,
    SweepConfig,
    SweepJob,
)
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.errors import ConfigError, InputError
from ds2ray.fleet.sweep.results import TrialResult
from ds2ray.model.adapters.mlp import MLPAdapter

FILES = {"table.csv", "table.md", "pareto.svg", "pareto.png", "best.yaml", "summary.json"}


def make_job(corpus: DemoCorpus, root: str, **sweep: Any) -> SweepJob:
    settings: dict[str, Any] = {"hidden_dims": [[8], [16, 8]], "num_users": 2, **sweep}
    return SweepJob(
        users=corpus.users_csv,
        sweep_id="first",
        sweep=SweepConfig(**settings),
        adapt=AdaptConfig(num_epochs=3, batch_size=4, cross_validate_below=0),
        storage=StorageConfig(root=root),
        cluster=ClusterConfig(address="127.0.0.1:1"),  # connected already, or never
    )


def table_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "table.csv").read_text())))


@pytest.fixture
def root(random_base: RandomBase, tmp_path: Path) -> str:
    return random_base.publish(str(tmp_path / "store"))


def test_a_sweep_and_its_best_trial_as_a_run(
    ray_cluster: str, small_corpus: DemoCorpus, random_base: RandomBase, root: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    job = make_job(small_corpus, root, kinds=[AdapterKind.mlp, AdapterKind.lhuc], after_layers=[0, -1])
    job = replace(job, sweep=replace(job.sweep, output_dir=str(tmp_path / "copies")))
    assert run(job) == 0
    output = capsys.readouterr().out
    assert output.startswith("6 trials of 6 adapters on 2 users")
    folder = Path(root) / "sweeps" / "first"
    assert {path.name for path in folder.iterdir()} == FILES | {"trials"}
    assert {path.name for path in (tmp_path / "copies").iterdir()} == FILES
    assert len(list((folder / "trials").iterdir())) == 6
    rows = table_of(folder)
    assert sorted((row["adapter.kind"], row["adapter.hidden_dims"], row["adapter.after_layer"]) for row in rows) == [
        *(("lhuc", "", "-1"), ("lhuc", "", "0"), ("mlp", "16-8", "-1"), ("mlp", "16-8", "0")),
        *(("mlp", "8", "-1"), ("mlp", "8", "0")),
    ]
    assert {row["status"] for row in rows} == {"done"}
    for row in (row for row in rows if row["adapter.kind"] == "mlp"):
        dims = [int(width) for width in row["adapter.hidden_dims"].split("-")]
        place = int(row["adapter.after_layer"])
        adapter = MLPAdapter(random_base.base.model.encoding_dim(place), dims)
        assert int(row["num_parameters"]) == sum(parameter.numel() for parameter in adapter.parameters())
        assert int(row["size_bytes"]) == 4 * int(row["num_parameters"])
    picture = matplotlib.image.imread(folder / "pareto.png")
    assert picture.shape[0] > 500
    assert picture[..., :3].std() > 0.01  # not an empty page
    stored = "".join(path.read_text() for path in folder.rglob("*.json"))
    assert not [user for user in small_corpus.user_ids if user in stored]

    # the same again reads all of it, and needs no Ray
    monkeypatch.setattr(SweepTrials, "__init__", lambda *args: pytest.fail("nothing is left to run"))
    assert run(job) == 0
    assert "6 of 6 trials were finished before" in capsys.readouterr().out
    assert table_of(folder) == rows
    monkeypatch.undo()

    best = next(line for line in output.splitlines() if line.startswith("best: "))
    words = shlex.split(best)
    assert words[:3] == ["best:", "python", "jobs/adapt_users.py"]
    night = compose_job("adapt_users", [*words[3:], "run_id=night"])
    assert isinstance(night, AdaptJob)
    assert (night.users, night.storage.root, night.adapt.num_epochs) == (small_corpus.users_csv, root, 3)
    assert night.adapter.kind.value == rows[0]["adapter.kind"]
    assert str(night.adapter.after_layer) == rows[0]["adapter.after_layer"]
    assert adapt_users(night) == 0


def test_a_sweep_that_was_stopped_goes_on(
    small_corpus: DemoCorpus, root: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job, asked = make_job(small_corpus, root, hidden_dims=[[4], [8], [16]]), []

    def results(trials: Any, points: Any) -> Iterator[TrialResult]:
        asked.append(list(points))
        for number, (trial_id, point) in enumerate(points.items()):
            if len(asked) == 1 and number == 2:
                raise KeyboardInterrupt
            failed = len(asked) == 2 and "reason"
            user = dict.fromkeys(("words", "characters", "word_errors_before", "character_errors_before"), 9)
            user |= {"word_errors_after": number, "character_errors_after": 1, "epochs": 3}
            yield TrialResult(
                trial_id=trial_id, settings=point.settings(), num_parameters=5, seconds=1.0, reason=failed or "",
                users=() if failed else ({**user, "loss_before": 2.0, "loss_after": 1.0},) * 2,
            )  # fmt: skip

    monkeypatch.setattr("ds2ray.cluster.session.connected", lambda cluster: pytest.MonkeyPatch.context())
    monkeypatch.setattr(SweepTrials, "__init__", lambda *args: None)
    monkeypatch.setattr(SweepTrials, "results", results)
    with pytest.raises(KeyboardInterrupt):
        run(job)
    assert run(replace(job, dry_run=True)) == 0
    assert capsys.readouterr().out.count("(finished)") == 2
    assert run(job) == 3  # one trial failed, which is a row
    folder = Path(root) / "sweeps" / "first"
    assert [row["status"] for row in table_of(folder)] == ["done", "done", "failed"]
    assert table_of(folder)[2]["reason"] == "reason"
    assert json.loads((folder / "summary.json").read_text())["exit_code"] == 3
    damaged = folder / "trials" / f"{asked[0][0]}.json"
    damaged.write_text(damaged.read_text().replace("2.0", "1.5"))
    assert run(job) == 0
    assert "does not match its checksum" in capsys.readouterr().out
    assert asked[1:] == [asked[0][2:], [asked[0][0], asked[0][2]]]


class TestRefused:
    def test_no_users(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="users is missing"):
            run(SweepJob(storage=StorageConfig(root=str(tmp_path))))

    @pytest.mark.parametrize("name", ["../x", ".hidden", "a/b", "x" * 300])
    def test_a_name_that_is_none(self, name: str) -> None:
        with pytest.raises(ConfigError, match="give another one"):
            run(SweepJob(users="users.csv", sweep_id=name))

    def test_no_base(self, small_corpus: DemoCorpus, tmp_path: Path) -> None:
        job = SweepJob(users=small_corpus.users_csv, storage=StorageConfig(root=str(tmp_path)))
        with pytest.raises(InputError, match="no base"):
            run(job)

    def test_a_place_that_the_base_lacks(self, small_corpus: DemoCorpus, root: str) -> None:
        with pytest.raises(ConfigError, match="after_layer"):
            run(make_job(small_corpus, root, after_layers=[0, 9]))

    def test_users_with_too_little_speech(self, small_corpus: DemoCorpus, root: str) -> None:
        job = make_job(small_corpus, root)
        job = replace(job, adapt=replace(job.adapt, min_utterances=99))
        with pytest.raises(InputError, match="none of 8 users has the 99 usable utterances"):
            run(job)


def test_a_dry_run_prints_the_trials(small_corpus: DemoCorpus, root: str, capsys: pytest.CaptureFixture[str]) -> None:
    shapes = [[4], [8], [16], [8, 8]]
    job = make_job(small_corpus, root, learning_rates=[0.001, 0.004, 0.01], hidden_dims=shapes, halving=3)
    assert run(replace(job, dry_run=True)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("16 trials of 12 adapters on 2 users")
    assert lines[1] == "  successive halving: 12 for 33% of their epochs, the best 4 for 100% of their epochs"
    assert lines[2] == "  hidden_dims 4, learning_rate 0.001"
    assert len(lines) == 14
    assert not (Path(root) / "sweeps").exists()


def test_of_sealed_users_only_the_drawn_are_read(
    small_corpus: DemoCorpus, root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["user_id,manifest,version,speech_s,num_utterances", f"tony,{small_corpus.root}/users/tony.csv,1,9,6"]
    rows += [f"short{number},nowhere.parquet,1,2,1" for number in range(5)]
    (tmp_path / "users.csv").write_text("\n".join(rows))
    job = make_job(small_corpus, root)
    assert run(replace(job, users=str(tmp_path / "users.csv"), dry_run=True)) == 0
    assert capsys.readouterr().out.startswith("2 trials of 2 adapters on 1 user (0.00 h of speech)")
