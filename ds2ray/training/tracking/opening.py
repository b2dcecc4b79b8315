"""Opening the tracker that the settings name."""

from collections.abc import Callable
from typing import Any

from ds2ray import storage
from ds2ray.config import Tracker, TrainConfig
from ds2ray.training.base.board import named_settings
from ds2ray.training.tracking.mlflow_runs import MlflowRun
from ds2ray.training.tracking.tracker import Tracked, Tracking
from ds2ray.training.tracking.wandb_runs import WandbRun


def open_tracker(
    train: TrainConfig, run_id: str, sections: dict[str, Any], texts: bool, say: Callable[[str], None]
) -> Tracked | None:
    """The training at its tracker, with its settings; None where there is no tracker.

    Args:
        sections: dataclasses of settings, by name.
        texts: whether settings that are texts may be sent, such as the places of speech.
        say: told where the tracker fails.
    """
    if train.tracker is Tracker.none:
        return None

    def begin() -> Tracking:
        if train.tracker is Tracker.mlflow:
            return MlflowRun(train.tracker_uri, run_id)
        return WandbRun(storage.local_path(_folder(train)), run_id)

    tracked = Tracked(begin, say)
    settings = (one for name, section in sections.items() for one in named_settings(name, section))
    tracked.describe({name: str(value) for name, value in settings if texts or not isinstance(value, str)})
    return tracked


def _folder(train: TrainConfig) -> str:
    """Where W&B's own files lie: beside the outputs where these are on this machine, else where it has them anyway."""
    return train.output_dir if storage.is_local(train.output_dir) else "."
