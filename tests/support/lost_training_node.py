"""Base training on a cluster of two nodes, one of which is lost in the middle, as a program of its own.

`python lost_training_node.py FOLDER SEEN` trains in FOLDER and writes what it saw to the file SEEN, as JSON. The driver
is on a head node that trains nothing; each of the others has room for one worker. One of them is lost as soon as both
have trained for a while.
"""

import json
import logging
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from fleet_runs import TRAIN_TITLE, ray_pids, wait_for
from ray.cluster_utils import Cluster
from train_jobs import checkpoint_steps, make_job
from two_nodes import SYSTEM

from ds2ray.commands.train import run


def main(folder: Path, seen: Path) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": SYSTEM})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=cluster.address, logging_level=logging.ERROR)
    job = make_job(folder, num_workers=2)
    job = replace(job, cluster=replace(job.cluster, min_workers=1))
    told: dict[str, Any] = {}

    def lose_node() -> None:
        wait_for(lambda: len(checkpoint_steps(folder)) > 1)
        raylet = nodes[0].all_processes["raylet"][0].process.pid
        told["workers"] = ray_pids(raylet, TRAIN_TITLE)
        told["step"] = checkpoint_steps(folder)[0]
        for pid in ray_pids(raylet, "ray::"):  # a machine that is gone takes all of its processes along
            os.kill(pid, signal.SIGKILL)
        cluster.remove_node(nodes[0], allow_graceful=False)

    loser = threading.Thread(target=lose_node)
    loser.start()
    told["code"] = run(job)
    loser.join()
    seen.write_text(json.dumps(told))
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
