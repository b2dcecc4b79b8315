"""Levers: single settings of a cohort's training, each with the time that it saves and the errors that it costs.

The same users are trained as one cohort, first with the settings as they are and then with one of them changed, each
time in a fresh process. Seconds are per user: `encode_s` to read and encode the speech (B), `train_s` for all epochs,
and `epoch_s` (A), which is `train_s` per epoch. `speedup` is that of all seconds, against the first recipe. All recipes
train on one thread; the last row is the first recipe on `--threads` threads, to be compared with the gain of as many
processes.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.adapting.adapt import base_named, mean_wer
from benchmarks.adapting.ways import Task, publish, warm_base
from benchmarks.common import CACHE, emit, measured_apart, say
from benchmarks.recipes import Recipe, mean, parse_recipe
from benchmarks.speech import Speaker, base_corpus, speakers
from ds2ray.model.stored import ensure_base
from ds2ray.store import Store
from ds2ray.training.adapters.cohort import adapt_cohort, results_of
from ds2ray.training.adapters.progress import StageClock

RECIPES = (
    *("unchanged=", "early_stop=patience_epochs=10", "early_stop_5=patience_epochs=5", "bfloat16=precision=bfloat16"),
    *("batch_4=batch_size=4", "batch_16=batch_size=16"),
    *("short_calls=encode_batch_s=15", "long_calls=encode_batch_s=240"),
)


@dataclass(frozen=True)
class Spent:
    """The time that one cohort took: seconds in all and by stage, and the epochs that each user trained."""

    seconds: float
    stages: dict[str, float]
    epochs: list[int]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=8, help="users of the cohort")
    parser.add_argument("--minutes", type=float, default=1.0, help="speech per user")
    parser.add_argument("--epochs", type=int, default=40, help="epochs of a user, at most")
    parser.add_argument("--after-layer", type=int, default=-1, help="the adapters' place; -1: after the last layer")
    parser.add_argument(
        "--recipes", nargs="+", default=RECIPES, help="name=key=value,…; the others are compared with the first"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of the last row; 1: leave it out")
    parser.add_argument("--model", default="ds2_small", help="shape of the base")
    parser.add_argument("--base", default="trained", help="`random`, `trained` on the demo's voices, or a model.pt")
    parser.add_argument("--test-sentences", type=int, default=10, help="per user, for the WER")
    parser.add_argument("--cache", default=CACHE, help="keeps speech and base between runs")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    recipes = [parse_recipe(text) for text in args.recipes]
    trained = args.base == "trained"
    ordinary = base_corpus(args.cache, 400 if trained else 20, 40 if trained else 5)
    users = speakers(args.cache, args.users, args.minutes, args.test_sentences, ordinary)
    with tempfile.TemporaryDirectory(prefix="ds2ray-bench-") as folder:
        base_path = base_named(args.base, args.model, args.cache, ordinary, users, folder)
        users = [user.with_minutes(args.minutes) for user in users]
        tasks = [task_of(recipe, base_path, args.epochs, args.after_layer) for recipe in recipes]
        rows = [row(recipe, task, users, folder) for recipe, task in zip(recipes, tasks, strict=True)]
        if args.threads > 1:
            rows.append(row(recipes[0], tasks[0], users, folder, args.threads))
    fields = {name: getattr(args, name) for name in ("users", "minutes", "epochs", "after_layer", "model", "base")}
    unchanged_s = rows[0]["seconds"]
    emit("levers", {**fields, "levers": [{**one, "speedup": unchanged_s / one["seconds"]} for one in rows]}, args.save)


def task_of(recipe: Recipe, base_path: str, epochs: int, after_layer: int) -> Task:
    """The task of a recipe; unless it says otherwise, all epochs are trained, judged by held-out utterances."""
    common: dict[str, Any] = {"num_epochs": epochs, "patience_epochs": epochs, "cross_validate_below": 0}
    common = {name: value for name, value in common.items() if name not in recipe.changed}
    return Task(base_path, replace(recipe.adapter, after_layer=after_layer), replace(recipe.adapt, **common))


def row(recipe: Recipe, task: Task, users: Sequence[Speaker], folder: str, threads: int = 1) -> dict[str, Any]:
    """The figures of a cohort trained by one recipe, per user."""
    name = recipe.name if threads == 1 else f"{recipe.name}_{threads}_threads"
    spent = measured_apart(cohort, task, users, f"{folder}/{name}", threads).value
    figures = {**described(spent, len(users)), "wer": mean_wer(users, f"{folder}/{name}")}
    say(f"{name}: " + ", ".join(f"{field} {value:.3g}" for field, value in figures.items()))
    return {"lever": name, "changed": recipe.changed, "threads": threads, **figures}


def cohort(task: Task, users: Sequence[Speaker], root: str, threads: int) -> Spent:
    """Train all users at once in this process, and publish them in a store at `root`."""
    torch.set_num_threads(threads)
    base = warm_base(task, users[0])
    ensure_base(Store(root), base, run_id="benchmark")
    clock, epochs = StageClock(), []
    started_s = time.perf_counter()
    members = {user.user_id: user.adapt for user in users}
    for result in results_of(adapt_cohort(base, members, task.adapter, task.adapt, stages=clock)):
        if result.fit is None:
            raise RuntimeError(f"{result.user_key} could not be trained: {result.reason}")
        epochs.append(result.fit.epochs)
        publish(root, base, result.user_key, result.fit, task)
    return Spent(time.perf_counter() - started_s, dict(clock.seconds), epochs)


def described(spent: Spent, num_users: int) -> dict[str, float]:
    """Seconds per user by stage, and the number of epochs."""
    epochs = mean([float(count) for count in spent.epochs])
    train_s = spent.stages["train"] / num_users
    return {
        "seconds": spent.seconds / num_users,
        "encode_s": sum(spent.stages.get(stage, 0.0) for stage in ("read", "mel", "encode")) / num_users,
        "train_s": train_s,
        "epoch_s": train_s / epochs,
        "epochs_trained": epochs,
    }


if __name__ == "__main__":
    main()
