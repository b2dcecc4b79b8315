"""Ray."""

from dataclasses import dataclass

from ds2ray.config.fields import require, setting


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """The address of Ray, and the resources of base training."""

    address: str = setting(
        "", "Ray's address; empty: RAY_ADDRESS, a running local cluster, else a new one on this machine"
    )
    num_workers: int = setting(1, "processes that train the base; 0 trains inside this process, without Ray")
    min_workers: int = setting(0, "fewest processes to train with while the cluster lacks room; 0: wait for all")
    gpus_per_worker: float = setting(1.0, "GPUs per process that trains the base, where the cluster has GPUs")
    cpus_per_worker: float = setting(1.0, "CPUs per process that trains the base")
    max_failures: int = setting(3, "times that a failed worker group is started again")

    def __post_init__(self) -> None:
        require(self.num_workers >= 0, "cluster.num_workers", self.num_workers, "0 (in this process) or more")
        at_most = 0 <= self.min_workers <= self.num_workers
        require(at_most, "cluster.min_workers", self.min_workers, "0 (off) up to cluster.num_workers")
        require(self.gpus_per_worker >= 0, "cluster.gpus_per_worker", self.gpus_per_worker, "at least 0")
        require(self.cpus_per_worker > 0, "cluster.cpus_per_worker", self.cpus_per_worker, "above 0")
        require(self.max_failures >= 0, "cluster.max_failures", self.max_failures, "0 or more")
