"""Reaching Ray: one connection per process, and what the cluster has."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from ds2ray.config import ClusterConfig
from ds2ray.errors import ConfigError


@contextmanager
def connected(cluster: ClusterConfig) -> Iterator[None]:
    """Connect to the configured cluster, or start one on this machine, and disconnect afterwards.

    A connection that is there already is used and left open.

    Raises:
        ConfigError: there is no cluster at `cluster.address`.
    """
    if ray.is_initialized():
        yield
        return
    # Ray's own chatter stays in its log files: what the user reads comes from the jobs
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray.init(
            address=cluster.address or None,
            include_dashboard=None if cluster.address else False,
            logging_level=logging.WARNING,
        )
    except ConnectionError as error:
        raise ConfigError(
            f"no Ray cluster at {cluster.address or os.environ.get('RAY_ADDRESS', 'auto')!r} ({error}); start one with "
            "`ray start --head`, or leave cluster.address empty for a local one"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def cluster_gpus() -> float:
    """GPUs of the whole cluster."""
    return float(ray.cluster_resources().get("GPU", 0.0))


def cluster_cpus() -> float:
    """CPUs of the whole cluster."""
    return float(ray.cluster_resources().get("CPU", 0.0))


@contextmanager
def quiet_tune(keep_results: bool = False) -> Iterator[None]:
    """Tune without its own signal handling, which is ours, and without its console output.

    Args:
        keep_results: let Tune write the files that its results are read from; else trials write what counts.
    """
    settings = {"TUNE_DISABLE_SIGINT_HANDLER": "1", "RAY_AIR_NEW_OUTPUT": "0"}
    if not keep_results:
        settings["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    # without result files Tune warns of every trial that it cannot read them
    logger = logging.getLogger("ray.tune.analysis.experiment_analysis")
    level = logger.level
    logger.setLevel(level if keep_results else logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
