"""A training as a run of Weights & Biases; with WANDB_MODE=offline in a folder, without a network."""

import os
from collections.abc import Mapping

from ds2ray.errors import ConfigError
from ds2ray.training.tracking.tracker import FINISHED

PROJECT = "ds2ray"
STEPS = "steps/"
"""Names of figures by step begin with it; the others are by epoch."""


class WandbRun:
    """A run of Weights & Biases; key, address and mode are those of the environment, as WANDB_PROJECT is.

    Args:
        folder: of this machine, that receives its files.
        run_id: of the training: where there is a run with it, that goes on.
    """

    def __init__(self, folder: str, run_id: str) -> None:
        import wandb

        if os.environ.get("WANDB_MODE", "online") == "online" and not wandb.api.api_key:
            # it would ask whoever sits at the terminal, and wait
            raise ConfigError("there is no key: set WANDB_API_KEY, or WANDB_MODE=offline and `wandb sync` later")
        project = os.environ.get("WANDB_PROJECT", PROJECT)
        settings = wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True, save_code=False)
        self.run = wandb.init(project=project, id=run_id, name=run_id, resume="allow", dir=folder, settings=settings)
        for counted, by in ((f"{STEPS}*", "step"), ("*", "epoch")):
            self.run.define_metric(counted, step_metric=by)

    def describe(self, settings: Mapping[str, str]) -> None:
        """Send the settings, by name."""
        self.run.config.update(dict(settings), allow_val_change=True)

    def add(self, figures: Mapping[str, float], step: int) -> None:
        """Send figures, by name."""
        by = "step" if all(name.startswith(STEPS) for name in figures) else "epoch"
        self.run.log({**figures, by: step})

    def close(self, how: str) -> None:
        """End the run, with all of it written: its own process writes the last of it when that ends."""
        import wandb

        self.run.finish(exit_code=0 if how == FINISHED else 1)
        wandb.teardown()
