"""Files of settings: as --cfg prints them and as a sweep writes them, below what stands on the command line."""

import io
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest
from composing import composed, mistakes
from sweeping import pairs, points_of, result

from ds2ray.commandline.start import run_job
from ds2ray.config import (
    AdaptConfig,
    AdapterConfig,
    AdapterKind,
    AdaptJob,
    Best,
    DataConfig,
    ErrorMetric,
    StorageConfig,
    SweepConfig,
    SweepJob,
    TranscribeJob,
)
from ds2ray.fleet.sweep.choice import decide
from ds2ray.fleet.sweep.files import best_bytes
from ds2ray.fleet.sweep.points import sweep_points
from ds2ray.store import Store


def written(folder: Path, text: str) -> str:
    (folder / "mine.yaml").write_text(text)
    return str(folder / "mine.yaml")


@pytest.mark.parametrize("joined", [True, False])
def test_its_settings_are_taken_and_those_beside_it_count(tmp_path: Path, joined: bool) -> None:
    uri = written(
        tmp_path, "users: a.csv\nadapt:\n  num_epochs: 7\n  learning_rate: 1e-05\nadapter.hidden_dims: [4, 5]\n"
    )
    option = [f"--config={uri}"] if joined else ["--config", uri]
    job = composed(AdaptJob, "adapt.num_epochs=9", *option, "b.csv")
    assert job == AdaptJob(
        users="b.csv", adapt=AdaptConfig(num_epochs=9, learning_rate=1e-5), adapter=AdapterConfig(hidden_dims=[4, 5])
    )


def test_of_two_files_the_last_counts(tmp_path: Path) -> None:
    first = written(tmp_path, "adapt: {num_epochs: 7, batch_size: 3}")
    (tmp_path / "other.yaml").write_text("adapt: {num_epochs: 8}")
    job = composed(AdaptJob, "--config", first, "--config", str(tmp_path / "other.yaml"))
    assert (job.adapt.num_epochs, job.adapt.batch_size) == (8, 3)


def test_a_preset_may_stand_in_it(tmp_path: Path) -> None:
    job = composed(AdaptJob, "--config", written(tmp_path, "adapter: last\nrun_id: '007'"))
    assert job.adapter.after_layer == -1
    assert job.adapt.num_epochs == 20  # which the preset brings
    assert job.run_id == "007"


def test_text_is_taken_as_it_stands(tmp_path: Path) -> None:
    text = "users: '${oc.env:HOME}/a b''s.csv'\nstorage:\n  root: \"it's ${x} \\\\ [1]\"\nrun_id: ''\n"
    job = composed(AdaptJob, "--config", written(tmp_path, text))
    assert (job.users, job.storage.root, job.run_id) == ("${oc.env:HOME}/a b's.csv", "it's ${x} \\ [1]", "")
    audio = composed(TranscribeJob, "--config", written(tmp_path, 'audio: [a.wav, "b\'c${d}.wav"]\nfresh_s: .inf'))
    assert (audio.audio, audio.fresh_s) == (["a.wav", "b'c${d}.wav"], float("inf"))


def test_what_cfg_prints_is_such_a_file(tmp_path: Path) -> None:
    argv = ["users.csv", "adapter=last", "data.max_duration_s=inf", "adapt.kl_weight=0.25", "storage.root=s3://b/x"]
    with redirect_stdout(io.StringIO()) as printed, pytest.raises(SystemExit):
        run_job("adapt_users", [*argv, "--cfg"], command="jobs/adapt_users.py")
    assert composed(AdaptJob, "--config", written(tmp_path, printed.getvalue())) == composed(AdaptJob, *argv)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adapt: {num_epoch: 3}", "unknown setting adapt.num_epoch (did you mean adapt.num_epochs"),
        ("adapt: {num_epochs: many}", "adapt.num_epochs='many': a whole number is wanted"),
        ("adapt: {num_epochs: 0}", "adapt.num_epochs=0 is not possible"),
        ("adapter: {kind: lora}", "one of mlp, lhuc is wanted"),
        ("adapter: huge", "one of large, last, lhuc, medium, small is wanted"),
        ("users: [a.csv", "no YAML of settings"),
        ("just words", "unknown setting just words"),
        ("- 1\n- 2", "it holds no settings"),
        ("adapt: 3", "give them one by one"),
        ("run_id: AKIAABCDEFGHIJKLMNOP", "seems to hold a secret"),
    ],
)
def test_mistakes_in_it_are_told(tmp_path: Path, text: str, message: str) -> None:
    said = mistakes("adapt_users", "--config", written(tmp_path, text))
    assert message in said


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert "there is no such file of settings" in mistakes("adapt_users", "--config", f"{tmp_path}/none.yaml")
    assert "--config names no file" in mistakes("adapt_users", "--config")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    assert "no YAML of settings" in mistakes("adapt_users", "--config", f"{tmp_path}/bytes.yaml")


def test_a_preset_that_would_change_nothing_is_refused(tmp_path: Path) -> None:
    uri = written(tmp_path, "adapter: {hidden_dims: [4]}")
    said = mistakes("adapt_users", "--config", uri, "adapter=small", "adapt.num_epochs=x")
    assert f"adapter=small: {uri} gives adapter.hidden_dims already" in said
    assert "adapt.num_epochs=x" in said  # all mistakes at once


@pytest.mark.parametrize("kind", AdapterKind)
@pytest.mark.parametrize("rate", [1e-7, 0.004, 1.0])
def test_the_best_of_a_sweep_is_taken_whole(tmp_path: Path, kind: AdapterKind, rate: float) -> None:
    job = SweepJob(
        users="data/it's users.csv",
        sweep=SweepConfig(kinds=[kind], hidden_dims=[[16, 8]], after_layers=[-1], learning_rates=[rate]),
        adapt=AdaptConfig(num_epochs=11, gate_metric=ErrorMetric.cer, kl_weight=0.2, seed=5, max_concurrent_trials=1),
        data=DataConfig(max_duration_s=float("inf"), segment_long=False),
        storage=StorageConfig(root="s3://bucket/it's", profile="de"),
    )
    (point,) = sweep_points(job.sweep, job.adapter, job.adapt)
    (plain,) = points_of(24)
    chosen = decide(pairs((point, result(plain, [1, 2]))), ErrorMetric.cer, Best.error).chosen
    assert chosen is not None
    data = best_bytes(job, Store.of(job.storage), "0123456789abcdef", chosen, [], ErrorMetric.cer)
    (tmp_path / "best.yaml").write_bytes(data)
    night = composed(AdaptJob, "--config", f"{tmp_path}/best.yaml")
    users = str(Path("data/it's users.csv").absolute())
    expected = AdaptJob(
        users=users,
        base="0123456789abcdef",
        adapter=point.adapter,
        adapt=replace(point.adapt, max_concurrent_trials=0),  # how it is run is the night's own
        data=job.data,
        storage=job.storage,
    )
    assert night == expected
