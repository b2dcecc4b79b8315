"""The connection of a process to Ray, and the resources of the cluster."""

import logging
import math
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import ray
from ray.exceptions import AuthenticationError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ds2ray import display
from ds2ray.cluster.address import (
    AUTO,
    LOCAL,
    closed_temp_dir,
    cluster_address,
    keep_token_in_environment,
    local_settings,
    not_started,
    one_line,
    refuse_another_server,
    refuse_without_loopback,
    refused,
)
from ds2ray.cluster.gpus import cluster_gpus, gpus_there
from ds2ray.cluster.privacy import (
    close_token,
    private_cluster,
    warn_without_token,
    without_credentials,
    write_as_the_job,
)
from ds2ray.cluster.watching.processes import ended_with_ray
from ds2ray.config import ClusterConfig
from ds2ray.errors import InterruptedRunError
from ds2ray.fleet.cohorts import Room

SHOWN_CHARACTERS = 300
"""Characters of a message of Ray's that are shown; its guesses at a cause fill half a page."""

MIN_PENDING_TRIALS = 4
"""Trials that Tune keeps waiting at least, so that the next one is there when one ends."""


@contextmanager
def connected(cluster: ClusterConfig) -> Iterator[None]:
    """Connect to the configured cluster, or start one on this machine, and disconnect afterwards.

    A connection that is there already is used and left open. Else the process ends, with code 75, as soon as the raylet
    or the GCS of its cluster is gone from this machine.

    Raises:
        ConfigError: there is no cluster at `cluster.address`, it refuses this process, or none can be started here.
        InterruptedRunError: Ray failed while it was in use, or ran out of time while it started, or the GPUs that are
            waited for did not come.
    """
    if ray.is_initialized():
        yield
        return
    # Ray's own chatter stays in its log files: what the user reads comes from the jobs
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # … and says nothing of its token, which a local cluster makes for itself
    logging.getLogger("ray._private.authentication.authentication_token_setup").setLevel(logging.ERROR)
    address = cluster_address(cluster.address)
    display.doing("starting Ray" if address == LOCAL else "connecting to Ray")
    with _own_sigterm():
        if address == LOCAL:
            _start()
        else:
            _connect(address)
    try:
        with ended_with_ray(), gpus_there(cluster):
            yield
    except RayError as error:
        if isinstance(error, RayTaskError):
            raise  # an error of our own code on a worker
        raise InterruptedRunError(
            f"Ray failed while the job was at work ({type(error).__name__}: {one_line(error)[:SHOWN_CHARACTERS]}); "
            "nothing that is finished is lost: run it again"
        ) from error
    finally:
        display.doing("stopping Ray" if address == LOCAL else "disconnecting from Ray")
        ray.shutdown()


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep the process's own SIGTERM handler: Ray's would end the process without the jobs' clean-up and exit code."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as error:
        # only Ray's handler exits here: the signal came while it was in place
        raise KeyboardInterrupt from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _start() -> None:
    """Start a cluster on this machine and connect to it."""
    refuse_without_loopback()
    keep_token_in_environment()
    try:
        settings = local_settings()
        settings["_temp_dir"] = closed_temp_dir(settings["_temp_dir"])
        with private_cluster():
            ray.init(LOCAL, logging_level=logging.WARNING, **settings)
    except Exception as error:  # of any type: Ray has no error of its own for a machine that lacks something
        ray.shutdown()  # ends the processes that have been started already
        raise not_started(error) from error
    close_token()


def _connect(address: str) -> None:
    """Connect to a running cluster."""
    if address != AUTO:
        refuse_another_server(address)
    try:
        ray.init(address, logging_level=logging.WARNING)
    except (ConnectionError, ValueError, RuntimeError, AuthenticationError) as error:
        ray.shutdown()
        raise refused(address, error) from error
    warn_without_token(address)


def room_for_trials(cpus: float, gpus: float) -> Room:
    """The room of the cluster for trials of this size: how many at once, at least one, and the memory of the smallest.

    Args:
        cpus: CPUs per trial.
        gpus: GPUs per trial, where the cluster has GPUs.
    """
    on_gpus = cluster_gpus() > 0
    trials, memory_bytes = 0, math.inf
    for node in ray.nodes():
        resources = node["Resources"] if node["Alive"] else {}
        of_node = int(resources.get("CPU", 0.0) / cpus)
        if on_gpus and gpus:
            of_node = min(of_node, int(resources.get("GPU", 0.0) / gpus))
        if of_node:
            trials += of_node
            memory_bytes = min(memory_bytes, resources.get("memory", math.inf) / of_node)
    return Room(max(1, trials), on_gpus, memory_bytes)


@contextmanager
def quiet_tune(keep_results: bool = False, trials_at_once: int = 1) -> Iterator[None]:
    """Tune without its own signal handling, which is ours, and without its console output.

    Args:
        keep_results: whether Tune writes the files that its results are read from.
        trials_at_once: trials that the cluster has room for.
    """
    settings = {
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "RAY_AIR_NEW_OUTPUT": "0",
        # each waiting trial holds a placement group, which costs the cluster's head time; as many waiting as running
        # let an autoscaled cluster double
        "TUNE_MAX_PENDING_TRIALS_PG": str(max(MIN_PENDING_TRIALS, trials_at_once)),
    }
    if not keep_results:
        settings["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
        settings["TUNE_PRINT_ALL_TRIAL_ERRORS"] = "0"  # outcomes tell what went wrong, Ray's logs have the traces
        settings["TUNE_GLOBAL_CHECKPOINT_S"] = "inf"  # Tune's own state of thousands of trials is never read
    before = {name: os.environ.get(name) for name in settings}
    contexts = ExitStack()
    contexts.enter_context(without_credentials())
    os.environ.update(settings)
    # without result files Tune warns of every trial that it cannot read them; failed trials are told by outcomes
    quiet = {"ray.tune.analysis.experiment_analysis": logging.ERROR, "ray.tune.tune": logging.CRITICAL}
    levels = {name: logging.getLogger(name).level for name in quiet}
    for name, level in quiet.items():
        logging.getLogger(name).setLevel(levels[name] if keep_results else level)
    try:
        yield
    finally:
        contexts.close()
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def end_at_sigterm() -> None:
    """End this worker at SIGTERM, by which Ray ends workers, without a word: Ray's own handler raises in the running
    code, which prints a trace."""
    write_as_the_job()
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(128 + number))


def beside_driver() -> NodeAffinitySchedulingStrategy:
    """Placement of an actor on the driver's own node, so that the end of another node does not end it."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
