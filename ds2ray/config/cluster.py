"""Ray: its address, base training on it, and the recognition of large manifests on it."""

from dataclasses import dataclass

from ds2ray.config.fields import require, setting


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
