"""A Ray cluster of one node that is there before any job, as a program of its own.

It prints the cluster's address and what its workers have of the S3 variables, as JSON, and ends with its input.
"""

import json
import logging
import os
import sys

import ray
from ray.cluster_utils import Cluster


@ray.remote
def s3_variables() -> list[str]:
    return sorted(name for name in os.environ if name.startswith(("AWS_ENDPOINT", "AWS_ACCESS", "AWS_SECRET")))


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    ray.init(address=cluster.address, logging_level=logging.ERROR)
    print(json.dumps({"address": cluster.address, "variables": ray.get(s3_variables.remote())}), flush=True)
    sys.stdin.read()
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
