"""The jobs that chaos kills, each in one process: a night of adaptation with its own driver and workers' code, without
Ray; packing; training of a base; recognition; verbs of a store."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from fleet_runs import ADAPT, ADAPTER, TINY_TRAINING

from ds2ray import storage
from ds2ray.cluster import cohort_trial, cohort_work, fleet, gpus, session
from ds2ray.commandline import start
from ds2ray.commands import adapt_users, prepare
from ds2ray.config import AdaptJob, PrepareJob, StorageConfig
from ds2ray.fleet.cohort_task import CohortStart, FleetTask
from ds2ray.fleet.cohorts import Room


def night(root: str, users: str, run_id: str, endpoint_url: str = "") -> int:
    """A run of adapt_users whose trials work in this process, one after the other; returns the exit code."""
    here = Room(trials=1)
    session.connected = lambda cluster: nullcontext()  # type: ignore[assignment, return-value]
    session.room_for_trials = fleet.room_for_trials = lambda cpus, gpus: here
    gpus.cluster_gpus = fleet.cluster_gpus = lambda: 0.0
    fleet.ray = SimpleNamespace(put=lambda value: value)  # type: ignore[assignment]
    cohort_work.ray = SimpleNamespace(get=lambda value: value)  # type: ignore[assignment]
    fleet.tune = SimpleNamespace(  # type: ignore[assignment]
        with_parameters=lambda trial, task: task,
        with_resources=lambda task, resources: task,
        Tuner=_Here,
        TuneConfig=SimpleNamespace,
        RunConfig=SimpleNamespace,
        CheckpointConfig=SimpleNamespace,
        FailureConfig=SimpleNamespace,
    )
    job = AdaptJob(
        users=users,
        run_id=run_id,
        adapter=ADAPTER,
        adapt=ADAPT,
        storage=StorageConfig(root=root, endpoint_url=endpoint_url),
    )
    return adapt_users.run(job)


class _Here:
    """Stands for Tune: works off all cohorts in this process."""

    def __init__(self, task: FleetTask, tune_config: Any, run_config: Any) -> None:
        self.task, self.num_cohorts = task, tune_config.num_samples

    def fit(self) -> None:
        with storage.using(self.task.outside):
            work = cohort_trial.CohortTrial.open_work(None, self.task)  # type: ignore[arg-type]
            for cohort in range(self.num_cohorts):
                work.take_up(CohortStart(cohort))
                while not work.go_on()["done"]:
                    pass


def pack(source: str, output: str) -> int:
    return prepare.run(PrepareJob(source=source, output=output))


def train(manifest: str, valid: str, output: str, root: str) -> int:
    argv = [*TINY_TRAINING, "train.batch_size=4", f"train.manifest={manifest}", f"train.valid_manifest={valid}"]
    argv += [f"train.output_dir={output}", f"storage.root={root}", "cluster.num_workers=0"]
    start.run_job("train", argv, command="jobs/train.py")


def recognise(manifest: str, root: str, output: str) -> int:
    start.run_job("transcribe", [manifest, f"storage.root={root}", f"output={output}"], command="jobs/transcribe.py")


def verb(*argv: str) -> int:
    start.run_job("store", list(argv), command="jobs/store.py")
