"""GPUs of the cluster: those that are there, and those that an autoscaled cluster has to bring first."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.autoscaler.sdk import request_resources

from ds2ray import display
from ds2ray.config import ClusterConfig
from ds2ray.errors import InterruptedRunError

_LOOK_S = 1.0


def cluster_gpus() -> float:
    """GPUs of the whole cluster."""
    return float(ray.cluster_resources().get("GPU", 0.0))


@contextmanager
def gpus_there(cluster: ClusterConfig) -> Iterator[None]:
    """A context in which the cluster has the GPUs that the settings wait for.

    Raises:
        InterruptedRunError: they do not come in time.
    """
    if not cluster.wait_for_gpus or cluster.wait_for_gpus <= cluster_gpus():
        yield
        return
    # whole GPUs, as nodes have them; the request holds nodes until it is taken back
    request_resources(bundles=[{"GPU": 1}] * math.ceil(cluster.wait_for_gpus))
    try:
        _await(cluster)
        yield
    finally:
        request_resources(bundles=[])


def _await(cluster: ClusterConfig) -> None:
    until_s = time.monotonic() + cluster.wait_s
    while (there := cluster_gpus()) < cluster.wait_for_gpus:
        if time.monotonic() > until_s:
            raise InterruptedRunError(
                f"the cluster has {there:g} of the {cluster.wait_for_gpus:g} GPUs of cluster.wait_for_gpus after "
                f"{cluster.wait_s:g} s: see whether its nodes come and Ray counts their GPUs (ray status), give more "
                "time by cluster.wait_s, or train on CPUs with cluster.wait_for_gpus=0"
            )
        display.doing("waiting for GPUs", f"{there:g} of {cluster.wait_for_gpus:g} there")
        time.sleep(_LOOK_S)
