"""Trackers: what they are told, and what a training is told where they fail."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ds2ray.config import Tracker, TrainConfig, TrainJob
from ds2ray.errors import ConfigError, InterruptedRunError
from ds2ray.training.tracking.opening import open_tracker
from ds2ray.training.tracking.tracker import FAILED, FINISHED, STOPPED, Tracked, require_tracker


@dataclass
class Notebook:
    """A tracker that writes into a list, and whose pages may be full."""

    pages: list[Any] = field(default_factory=list)
    most: int = 99

    def describe(self, settings: Mapping[str, str]) -> None:
        self._write(dict(settings))

    def add(self, figures: Mapping[str, float], step: int) -> None:
        self._write((dict(figures), step))

    def close(self, how: str) -> None:
        self._write(how)

    def _write(self, what: Any) -> None:
        if len(self.pages) == self.most:
            raise OSError("http://kim:secret@tracker/full\nwhat to do about it")
        self.pages.append(what)


def test_it_is_told_settings_figures_and_the_end() -> None:
    notebook, said = Notebook(), list[str]()
    with Tracked(lambda: notebook, said.append) as tracked:
        tracked.describe({"train.num_epochs": "3"})
        tracked.add({"wer": 0.5}, 1)
    assert notebook.pages == [{"train.num_epochs": "3"}, ({"wer": 0.5}, 1), FINISHED]
    assert said == []


@pytest.mark.parametrize(
    ("error", "how"),
    [(InterruptedRunError("stopped"), STOPPED), (KeyboardInterrupt(), STOPPED), (ValueError("x"), FAILED)],
)
def test_it_is_told_how_a_training_ended(error: BaseException, how: str) -> None:
    notebook = Notebook()
    with pytest.raises(type(error)), Tracked(lambda: notebook, print):
        raise error
    assert notebook.pages == [how]


def test_one_that_fails_is_told_of_once_without_passwords_and_training_goes_on() -> None:
    notebook, said = Notebook(most=1), list[str]()
    with Tracked(lambda: notebook, said.append) as tracked:
        for step in range(3):
            tracked.add({"wer": 0.5}, step)
    assert said == ["the tracker is told nothing more of this training: OSError: http://…@tracker/full"]


def test_one_that_cannot_be_opened_is_told_of() -> None:
    def begin() -> Notebook:
        raise ConnectionError

    said: list[str] = []
    with Tracked(begin, said.append) as tracked:
        tracked.add({"wer": 0.5}, 1)
    assert said == ["the tracker is told nothing more of this training: ConnectionError: "]


@pytest.mark.parametrize("tracker", [Tracker.mlflow, Tracker.wandb])
def test_a_missing_package_is_told_before_anything_is_read(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    from ds2ray.commands.train import run

    monkeypatch.setitem(sys.modules, tracker.value, None)
    with pytest.raises(
        ConfigError, match=rf"train\.tracker={tracker.value} needs .* pip install 'ds2ray\[{tracker.value}"
    ):
        run(TrainJob(train=TrainConfig(manifest="nowhere.csv", tracker=tracker)))


def test_without_a_tracker_nothing_is_needed() -> None:
    require_tracker(Tracker.none)
    assert open_tracker(TrainConfig(), "train-1", {}, True, print) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tracker": Tracker.mlflow, "tracker_uri": "https://kim:secret@host"}, "without a password"),
        ({"tracker": Tracker.wandb, "tracker_uri": "https://host"}, "with train.tracker=mlflow alone"),
    ],
)
def test_addresses_that_cannot_be_meant_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        TrainConfig(**settings)
    assert "secret" not in str(caught.value)


@pytest.mark.process
def test_a_run_of_mlflow_goes_on_where_the_training_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'ds2ray[mlflow]'")
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri, said = (tmp_path / "runs").as_uri(), list[str]()
    train = TrainConfig(tracker=Tracker.mlflow, tracker_uri=uri, num_epochs=7)
    for epoch in (1, 2):
        tracked = open_tracker(train, "train-1", {"train": train}, True, said.append)
        assert tracked is not None
        with tracked:
            tracked.add({"wer": 1 / epoch}, epoch)
            tracked.add({"steps/loss": 2.0}, 10 * epoch)
    assert said == []
    client = MlflowClient(tracking_uri=uri)
    (run,) = client.search_runs([client.get_experiment_by_name("ds2ray").experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "train-1")
    assert run.data.params["train.num_epochs"] == "7"
    assert run.data.metrics == {"wer": 0.5, "steps/loss": 2.0}
    assert [each.step for each in client.get_metric_history(run.info.run_id, "wer")] == [1, 2]


@pytest.mark.process
def test_a_run_of_weights_and_biases_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed: pip install 'ds2ray[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    said: list[str] = []
    train = TrainConfig(tracker=Tracker.wandb, output_dir=str(tmp_path))
    tracked = open_tracker(train, "train-1", {"train": train}, False, said.append)
    assert tracked is not None
    with tracked:
        tracked.add({"wer": 0.5}, 1)
        tracked.add({"steps/loss": 2.0}, 10)
    assert said == []
    (written,) = tmp_path.glob("wandb/offline-run-*-train-1/run-train-1.wandb")
    assert b"steps/loss" in written.read_bytes()


def test_weights_and_biases_without_a_key_is_told_and_asks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed: pip install 'ds2ray[wandb]'")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    said: list[str] = []
    train = TrainConfig(tracker=Tracker.wandb, output_dir=str(tmp_path))
    assert open_tracker(train, "train-1", {}, True, said.append) is not None
    assert said[0].startswith("the tracker is told nothing more of this training: ConfigError: there is no key")
