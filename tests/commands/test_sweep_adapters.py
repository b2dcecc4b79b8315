"""A sweep over adapter shapes: trials, table, files, and the line that selects the best."""

import csv
import io
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
from fleet_runs import RandomBase

from ds2ray.commandline.composing import compose_job
from ds2ray.commands.sweep_adapters import run
from ds2ray.config import (
    Activation,
    AdaptConfig,
    AdapterConfig,
    AdaptJob,
    ClusterConfig,
    StorageConfig,
    SweepConfig,
    SweepJob,
)
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.errors import ConfigError, InputError
from ds2ray.fleet.sweep import SweepPoint, SweepRow, sweep_points
from ds2ray.fleet.sweep_report import write_report
from ds2ray.model.adapters.mlp import MLPAdapter


def make_job(corpus: DemoCorpus, base: RandomBase, folder: Path, **sweep: Any) -> SweepJob:
    settings: dict[str, Any] = {"hidden_dims": [[8], [16, 8]], "num_users": 2, "output_dir": str(folder), **sweep}
    return SweepJob(
        users=corpus.users_csv,
        sweep=SweepConfig(**settings),
        adapt=AdaptConfig(num_epochs=3, batch_size=4, cross_validate_below=0),
        storage=StorageConfig(root=base.root),
    )


def table_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "sweep.csv").read_text())))


def test_a_sweep(
    ray_cluster: str,
    small_corpus: DemoCorpus,
    random_base: RandomBase,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(make_job(small_corpus, random_base, tmp_path)) == 0
    output = capsys.readouterr().out
    assert output.startswith("2 trials on 2 users")
    rows = table_of(tmp_path)
    assert {row["hidden_dims"] for row in rows} == {"8", "16-8"}
    ranks = [(float(row["wer_after"]), float(row["held_out_loss"]), int(row["num_parameters"])) for row in rows]
    assert ranks == sorted(ranks)
    for row in rows:
        dims = [int(width) for width in row["hidden_dims"].split("-")]
        adapter = MLPAdapter(random_base.base.model.encoding_dim(AdapterConfig().after_layer), dims)
        assert int(row["num_parameters"]) == sum(parameter.numel() for parameter in adapter.parameters())
        assert int(row["size_bytes"]) == 4 * int(row["num_parameters"])
        assert float(row["wer_before"]) > 0
    picture = matplotlib.image.imread(tmp_path / "sweep.png")
    assert picture.shape[0] > 300
    assert picture.shape[1] > 600
    assert picture[..., :3].std() > 0.01  # not an empty page
    best = next(line for line in output.splitlines() if line.startswith("best: "))
    words = shlex.split(best)
    assert words[:4] == ["best:", "python", "jobs/adapt_users.py", small_corpus.users_csv]
    job = compose_job("adapt_users", words[3:])
    assert isinstance(job, AdaptJob)
    assert "-".join(map(str, job.adapter.hidden_dims)) == rows[0]["hidden_dims"]
    assert job.adapt.learning_rate == AdaptConfig().learning_rate


def test_every_combination_is_a_point_and_its_line_composes_to_it() -> None:
    sweep = SweepConfig(
        hidden_dims=[[32], [64, 32, 16]],
        learning_rates=[1e-3, 2.5e-4],
        dropouts=[0.0, 0.25],
        activations=[Activation.gelu, Activation.tanh],
    )
    base = AdapterConfig(after_layer=1)
    points = sweep_points(sweep, base, AdaptConfig())
    assert len(points) == 16
    for point in points:
        job = compose_job("adapt_users", ["users.csv", *shlex.split(point.overrides())])
        assert isinstance(job, AdaptJob)
        assert SweepPoint(job.adapter, job.adapt.learning_rate) == point


def test_what_is_not_listed_keeps_its_value() -> None:
    adapter = AdapterConfig(dropout=0.3, activation=Activation.silu)
    points = sweep_points(SweepConfig(hidden_dims=[[7]]), adapter, AdaptConfig(learning_rate=0.5))
    expected = AdapterConfig(hidden_dims=[7], dropout=0.3, activation=Activation.silu)
    assert points == [SweepPoint(expected, 0.5)]


def test_the_report_ranks_by_error_then_loss_then_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def row(name: str, wer: float, loss: float, size: int) -> SweepRow:
        return SweepRow(name, name, size, 4 * size, loss, 0.5, wer, wer / 2)

    rows = [row("a", 0.2, 1.0, 10), row("b", 0.1, 2.0, 10), row("c", 0.1, 1.0, 20), row("d", 0.1, 1.0, 10)]
    write_report(rows, str(tmp_path), "python jobs/adapt_users.py users.csv")
    assert [found["hidden_dims"] for found in table_of(tmp_path)] == ["d", "c", "b", "a"]
    assert "best: python jobs/adapt_users.py users.csv d" in capsys.readouterr().out


class TestRefused:
    def test_no_users(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="users is missing"):
            run(SweepJob(storage=StorageConfig(root=str(tmp_path))))

    def test_no_base(self, small_corpus: DemoCorpus, tmp_path: Path) -> None:
        job = SweepJob(users=small_corpus.users_csv, storage=StorageConfig(root=str(tmp_path)))
        with pytest.raises(InputError, match="no base"):
            run(job)

    def test_users_with_too_little_speech(
        self, small_corpus: DemoCorpus, random_base: RandomBase, tmp_path: Path
    ) -> None:
        job = make_job(small_corpus, random_base, tmp_path)
        job = replace(job, adapt=replace(job.adapt, min_utterances=99))
        with pytest.raises(InputError, match="none of 8 users has the 99 usable utterances"):
            run(job)

    def test_a_dry_run_prints_the_trials(
        self, small_corpus: DemoCorpus, random_base: RandomBase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        job = make_job(small_corpus, random_base, tmp_path)
        assert run(replace(job, dry_run=True, cluster=ClusterConfig(address="127.0.0.1:1"))) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[1].strip().startswith("'adapter.hidden_dims=[8]'")
        assert len(lines) == 3
        assert not (tmp_path / "sweep.csv").exists()

    def test_of_sealed_users_only_the_drawn_are_read(
        self, small_corpus: DemoCorpus, random_base: RandomBase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = ["user_id,manifest,version,speech_s,num_utterances", f"tony,{small_corpus.root}/users/tony.csv,1,9,6"]
        rows += [f"short{number},nowhere.parquet,1,2,1" for number in range(5)]
        (tmp_path / "users.csv").write_text("\n".join(rows))
        job = make_job(small_corpus, random_base, tmp_path)
        assert run(replace(job, users=str(tmp_path / "users.csv"), dry_run=True)) == 0
        assert capsys.readouterr().out.startswith("2 trials on 1 users (0.00 h of speech)")
