"""A fleet run on a cluster of two nodes, one of which is lost in the middle, as a program of its own.

`python two_nodes.py STORE USERS RUN_ID SETTINGS SEEN` writes what it saw to the file SEEN, as JSON; SETTINGS are fields
of AdaptConfig, as JSON. The driver is on a head node that trains nobody; each of the others has room for one trial.
One of them is lost as soon as both are in the middle of a cohort.
"""

import ctypes
import json
import logging
import os
import signal
import struct
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import ray
from fleet_runs import job_of, trial_pids, wait_for
from ray.cluster_utils import Cluster
from ray.experimental import get_object_locations

from ds2ray.commands import adapt_users as adapt

IN_OPEN = 0x20
SYSTEM = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 200, "health_check_failure_threshold": 5}
"""A node that is lost is missed within a second."""


class Opens:
    """Counts how often any process opens a file, by inotify."""

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = libc.inotify_init1(os.O_NONBLOCK)
        if libc.inotify_add_watch(self.descriptor, str(path).encode(), IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch")

    def count(self) -> int:
        try:
            events = os.read(self.descriptor, 1 << 16)
        except BlockingIOError:
            return 0
        return len(events) // struct.calcsize("iIII")


def main(store: str, users: str, run_id: str, settings: dict[str, Any], seen: Path) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": SYSTEM})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=cluster.address, logging_level=logging.ERROR)
    (weights,) = Path(store).glob("bases/*/model.safetensors")
    opens = Opens(weights)
    base_references: list[Any] = []
    put = ray.put

    def remembering_put(value: Any) -> Any:
        reference = put(value)
        if isinstance(value, np.ndarray):
            base_references.append(reference)
        return reference

    vars(ray)["put"] = remembering_put
    told: dict[str, Any] = {}
    over = threading.Event()

    def lose_node() -> None:
        published = Path(store, "users")
        cohorts = {key: place for place, keys in enumerate(plan_of(store, run_id)) for key in keys}

        def both_at_work() -> bool:
            """Whether as many cohorts as there are nodes have published the first of their two users."""
            assert not over.is_set(), "the run has ended before two cohorts were half done at once"
            counts = Counter(cohorts[path.parent.name] for path in published.glob("*/current.json"))
            return list(counts.values()).count(1) == len(nodes)

        wait_for(both_at_work)
        told["nodes_with_base"] = sorted(get_object_locations(base_references)[base_references[0]]["node_ids"])
        told["nodes"] = sorted(node.node_id for node in cluster.list_all_nodes())
        pids = trial_pids(nodes[0].all_processes["raylet"][0].process.pid)
        cluster.remove_node(nodes[0], allow_graceful=False)
        for pid in pids:  # a machine that is gone takes all of its processes along
            os.kill(pid, signal.SIGKILL)
        told["finished_before"] = sorted(path.parent.name for path in published.glob("*/current.json"))

    loser = threading.Thread(target=lose_node)
    loser.start()
    told["code"] = adapt.run(job_of(store, users, run_id, **settings))
    over.set()
    loser.join()
    told["base_reads"] = opens.count()
    seen.write_text(json.dumps(told))
    ray.shutdown()
    cluster.shutdown()


def plan_of(store: str, run_id: str) -> list[list[str]]:
    """User keys by cohort, as soon as the run has a plan."""
    import pyarrow.parquet as pq

    path = Path(store, "runs", run_id, "plan.parquet")
    wait_for(path.exists)
    table = pq.read_table(path).to_pydict()
    cohorts: list[list[str]] = [[] for _ in range(1 + max(table["cohort"]))]
    for key, cohort in zip(table["user_key"], table["cohort"], strict=True):
        cohorts[cohort].append(key)
    return cohorts


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4]), Path(sys.argv[5]))
