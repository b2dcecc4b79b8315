"""Ray: its address, base training on it, the recognition of large manifests on it, and jobs submitted to it."""

import re
from dataclasses import dataclass

from ds2ray.config.fields import require, require_finite, setting

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}|")


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """The address of Ray, and the resources of base training."""

    address: str = setting(
        "", "Ray's address; empty: RAY_ADDRESS, a running local cluster, else a new one on this machine"
    )
    num_workers: int = setting(
        1, "processes that train the base; 0 trains, or recognises, inside this process, without Ray"
    )
    min_workers: int = setting(0, "fewest processes to train with while the cluster lacks room; 0: wait for all")
    gpus_per_worker: float = setting(1.0, "GPUs per process that trains the base, where the cluster has GPUs")
    cpus_per_worker: float = setting(1.0, "CPUs per process that trains the base")
    max_failures: int = setting(3, "times that a failed worker group is started again")
    wait_for_gpus: float = setting(
        0.0, "GPUs that the cluster must have before anything starts; an autoscaled cluster is asked for them …"
    )
    wait_s: float = setting(900.0, "… for so many seconds at most")

    def __post_init__(self) -> None:
        require(self.num_workers >= 0, "cluster.num_workers", self.num_workers, "0 (in this process) or more")
        at_most = 0 <= self.min_workers <= self.num_workers
        require(at_most, "cluster.min_workers", self.min_workers, "0 (off) up to cluster.num_workers")
        require(self.gpus_per_worker >= 0, "cluster.gpus_per_worker", self.gpus_per_worker, "at least 0")
        require(self.cpus_per_worker > 0, "cluster.cpus_per_worker", self.cpus_per_worker, "above 0")
        require(self.max_failures >= 0, "cluster.max_failures", self.max_failures, "0 or more")
        require(self.wait_for_gpus >= 0, "cluster.wait_for_gpus", self.wait_for_gpus, "0 (do not wait) or more")
        require(self.wait_s > 0, "cluster.wait_s", self.wait_s, "above 0")


@dataclass(frozen=True, kw_only=True)
class SpreadConfig:
    """The parts in which a manifest is recognised, and the processes on Ray that work on them."""

    from_s: float = setting(
        7200.0,
        "seconds of audio from which on Ray is used; less is done in this process; inf: all is",
        may_be_infinite=True,
    )
    part_s: float = setting(1800.0, "seconds of audio per part, the work that is done again after an interruption")
    max_workers: int = setting(0, "most processes at once; 0: as many as the cluster has room for")
    cpus_per_worker: float = setting(1.0, "CPUs per process that recognises")
    gpus_per_worker: float = setting(1.0, "GPUs per process that recognises, also 0.25, where the cluster has GPUs")
    max_attempts: int = setting(3, "times that a part is begun whose process died, before it is given up")

    def __post_init__(self) -> None:
        require(self.from_s >= 0, "spread.from_s", self.from_s, "at least 0")
        require(self.part_s > 0, "spread.part_s", self.part_s, "above 0")
        require(self.max_workers >= 0, "spread.max_workers", self.max_workers, "0 (no limit) or more")
        require(self.cpus_per_worker > 0, "spread.cpus_per_worker", self.cpus_per_worker, "above 0")
        require(self.gpus_per_worker >= 0, "spread.gpus_per_worker", self.gpus_per_worker, "at least 0")
        require(self.max_attempts >= 1, "spread.max_attempts", self.max_attempts, "at least 1")


@dataclass(frozen=True, kw_only=True)
class SubmitJob:
    """jobs/submit.py"""

    command: list[str] = setting([], "what runs on the cluster: all words behind `--`")
    name: str = setting("", "the job's name, with the date the key by which it is run once; empty: the command's")
    date: str = setting("", "the night that the job is for; empty: today, 20261231")
    address: str = setting(
        "", "address of the cluster's dashboard, http://head:8265; empty: RAY_ADDRESS, else this machine's"
    )
    working_dir: str = setting("", "folder or .zip that the cluster's nodes receive; empty: they have the code already")
    follow: bool = setting(True, "show the job's log until its end, and end with its exit code")
    timeout_s: float = setting(0.0, "seconds after which a followed job is stopped; 0: never")
    stop_wait_s: float = setting(
        600.0, "seconds that a stopped job has to publish what is done, before it is killed; Ray's own are 3"
    )
    stop: str = setting("", "stop this job, by its submission id, and wait for its end; no command is given then")

    def __post_init__(self) -> None:
        require_finite(self)
        for name in ("name", "date"):
            allowed = "up to 100 letters, digits and _.-, a letter or digit first"
            require(_NAME.fullmatch(getattr(self, name)) is not None, name, getattr(self, name), allowed)
        require(self.timeout_s >= 0, "timeout_s", self.timeout_s, "0 (never) or more")
        require(self.stop_wait_s >= 1, "stop_wait_s", self.stop_wait_s, "at least 1 second")
