"""A training as a run of MLflow; by its client alone, so that nothing process-wide is changed."""

import time
from collections.abc import Mapping

from ds2ray.training.tracking.tracker import FINISHED, STOPPED

EXPERIMENT = "ds2ray"
TAG = "ds2ray.run_id"
"""The tag by which a training that goes on finds its run."""
_MAX_PARAMS = 100  # in one request


class MlflowRun:
    """A run of MLflow, of which the address is `uri`, or else MLFLOW_TRACKING_URI.

    Args:
        run_id: of the training: where there is a run with it, that goes on.
    """

    def __init__(self, uri: str, run_id: str) -> None:
        from mlflow.tracking import MlflowClient

        self.client = MlflowClient(tracking_uri=uri or None)
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        place = experiment.experiment_id if experiment else self.client.create_experiment(EXPERIMENT)
        found = self.client.search_runs([place], f"tags.`{TAG}` = '{run_id}'", max_results=1)
        self.is_new = not found
        run = found[0] if found else self.client.create_run(place, run_name=run_id, tags={TAG: run_id})
        self.id = run.info.run_id
        if found:
            self.client.update_run(self.id, status="RUNNING")

    def describe(self, settings: Mapping[str, str]) -> None:
        """Send the settings, which MLflow lets nobody change: those of a run that goes on are there."""
        from mlflow.entities import Param

        if not self.is_new:
            return
        params = [Param(name, value[:6000]) for name, value in settings.items()]
        for start in range(0, len(params), _MAX_PARAMS):
            self.client.log_batch(self.id, params=params[start : start + _MAX_PARAMS])

    def add(self, figures: Mapping[str, float], step: int) -> None:
        """Send figures, by name."""
        from mlflow.entities import Metric

        now_ms = int(1000 * time.time())
        self.client.log_batch(self.id, metrics=[Metric(name, value, now_ms, step) for name, value in figures.items()])

    def close(self, how: str) -> None:
        """End the run."""
        self.client.set_terminated(self.id, {FINISHED: "FINISHED", STOPPED: "KILLED"}.get(how, "FAILED"))
