"""Scaling of fleet runs: the same fleet by one worker and by two, and on one Ray node and on two, each of one thread.

Where two processors are threads of one core, they share its arithmetic. `hardware_limit` is therefore measured beside
it: the gain of two independent processes of one thread over one, on the same work and without Ray.
"""

import argparse
import tempfile
from collections.abc import Sequence

from benchmarks.adapting.ways import Task, cohort_in_process, fleet_run
from benchmarks.common import CACHE, emit, measured_apart, say, start_apart
from benchmarks.speech import Speaker, base_corpus, saved_random_base, speakers, vocabulary_of
from ds2ray import storage
from ds2ray.cluster.session import connected
from ds2ray.config import AdaptConfig, AdapterConfig, ClusterConfig


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=64, help="users of the fleet")
    parser.add_argument("--minutes", type=float, default=1.0, help="speech per user")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--model", default="ds2_small", help="shape of a base with random weights …")
    parser.add_argument("--base", default="", help="… unless this model.pt is given")
    parser.add_argument("--after-layer", type=int, default=-1, help="the adapters' place; -1: after the last layer")
    parser.add_argument("--limit-users", type=int, default=8, help="users that each process of the limit trains")
    parser.add_argument("--cluster-address", default="local", help="Ray's address for workers; local: one for this run")
    parser.add_argument("--cache", default=CACHE, help="keeps the users' speech between runs")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    users = [
        user.with_minutes(args.minutes)
        for user in speakers(args.cache, args.users, args.minutes, 1, base_corpus(args.cache, 20, 5))
    ]
    with tempfile.TemporaryDirectory(prefix="ds2ray-bench-") as folder:
        vocabulary = vocabulary_of([u for user in users for u in user.adapt])
        base_path = storage.absolute(args.base) if args.base else saved_random_base(args.model, vocabulary, folder)
        adapt = AdaptConfig(num_epochs=args.epochs, patience_epochs=args.epochs)
        task = Task(base_path, AdapterConfig(after_layer=args.after_layer), adapt)
        limit = hardware_limit(task, users[: args.limit_users], folder)
        say(f"two processes of one thread gain {limit:.2f} over one")
        seconds: dict[str, list[float]] = {}
        cluster = ClusterConfig(address=args.cluster_address)
        seconds["workers"] = by_workers(task, users, folder, cluster)
        seconds["raylets"] = measured_apart(by_raylets, task, users, folder).value
        for kind, (one_s, two_s) in seconds.items():
            say(f"{kind}: one {one_s:.0f} s, two {two_s:.0f} s")
    speedups = {kind: one_s / two_s for kind, (one_s, two_s) in seconds.items()}
    fields = {
        **{f"speedup_{kind}": speedup for kind, speedup in speedups.items()},
        "hardware_limit": limit,
        "share_of_limit": {kind: speedup / limit for kind, speedup in speedups.items()},
        **{f"seconds_{kind}": one_and_two for kind, one_and_two in seconds.items()},
        "users": args.users,
        "minutes": args.minutes,
        "epochs": args.epochs,
        "model": "given" if args.base else args.model,
        "threads_per_worker": 1,
        "note": "seconds of whole fleet runs, the start of the workers included, that of Ray not",
    }
    emit("scale", fields, args.save)


def hardware_limit(task: Task, users: Sequence[Speaker], folder: str) -> float:
    """The work of two processes of one thread, each with a cohort of its own, as a multiple of one process's."""
    alone_s = measured_apart(cohort_in_process, task, users, f"{folder}/limit").value
    both = [start_apart(cohort_in_process, task, users, f"{folder}/limit-{n}") for n in (1, 2)]
    return 2 * alone_s / max([measured().value for measured in both])


def by_workers(task: Task, users: Sequence[Speaker], folder: str, cluster: ClusterConfig) -> list[float]:
    """Seconds of the fleet run by one worker, and by two, of the same cluster."""
    with connected(cluster):
        return [fleet_run(task, users, f"{folder}/workers-{n}", cluster, n) for n in (1, 2)]


def by_raylets(task: Task, users: Sequence[Speaker], folder: str) -> list[float]:
    """Seconds of the fleet run on one Ray node of one CPU, and on two."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster = ClusterConfig(address=nodes.address)
    try:
        with connected(cluster):
            one_s = fleet_run(task, users, f"{folder}/raylets-1", cluster, 1)
            nodes.add_node(num_cpus=1)
            return [one_s, fleet_run(task, users, f"{folder}/raylets-2", cluster, 2)]
    finally:
        nodes.shutdown()


if __name__ == "__main__":
    main()
