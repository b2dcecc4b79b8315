"""Cohorts against a trial per user and the plain loop: the gain of encoding once and of training as a stack.

The same users, seeds and epochs, three ways: (a) a Tune trial per user, in a fresh process, the frozen base run again
in every epoch; (b) the same in a loop in one process; (c) cohorts, as a whole fleet run and, beside
(b), in one process. (a) and (b) are timed on a few of the users and scaled to all.

With E epochs, B seconds to encode a user's speech and A seconds for an epoch of the adapter on stored encodings, the
loop takes E(B+A), and encoding once B+E·A: their ratio is the ceiling of `speedup_training`. B and A are measured with
the loop's own batches and code, so a cohort that batches better may come out above the ceiling.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.adapting.against import compare as compare_with
from benchmarks.adapting.ways import Task, cohort_in_process, fleet_run, loop, parts_of_the_loop, trial_per_user
from benchmarks.common import CACHE, emit, measured_apart, say
from benchmarks.speech import Speaker, base_corpus, saved_random_base, speakers, trained_base, vocabulary_of
from ds2ray import storage
from ds2ray.config import AdaptConfig, AdapterConfig, ClusterConfig
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.model.stored import open_adapter, open_base
from ds2ray.recognition.transcriber import Transcriber
from ds2ray.store import Store, user_key

TRAINING = ("train.num_epochs=8", "train.learning_rate=0.001")
"""Settings of a trained base, beside `train=demo`: larger models learn in fewer epochs, at a lower rate."""

NAMED = ("random", "trained")
"""Bases that need no file."""


@dataclass(frozen=True)
class Workload:
    """The users, the task that each way does, and the numbers of users that each way is timed on."""

    task: Task
    users: list[Speaker]
    minutes: float
    baseline_users: int
    training_users: int
    workers: int
    cluster: ClusterConfig
    folder: str

    def speech(self, count: int) -> list[Speaker]:
        return [user.with_minutes(self.minutes) for user in self.users[:count]]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=64, help="users of the fleet")
    parser.add_argument("--minutes", type=float, default=1.0, help="speech per user")
    parser.add_argument("--epochs", default="40,10", help="numbers of epochs to compare at; the first is the headline")
    parser.add_argument("--model", default="ds2_small", help="shape of the base")
    parser.add_argument("--base", default="random", help="`random`, `trained` on the demo's voices, or a model.pt")
    parser.add_argument("--base-sentences", type=int, default=400, help="sentences that a trained base learns from")
    parser.add_argument("--after-layer", type=int, default=-1, help="the adapters' place; -1: after the last layer")
    parser.add_argument("--baseline-users", type=int, default=2, help="users that (a) and (b) are timed on")
    parser.add_argument("--training-users", type=int, default=8, help="users that the cohort beside (b) is timed on")
    parser.add_argument("--workers", type=int, default=2, help="trials at a time, of one thread each, in (a) and (c)")
    parser.add_argument("--test-sentences", type=int, default=10, help="per user, for the difference in WER")
    parser.add_argument("--cluster-address", default="local", help="Ray's address; local: one for this run")
    parser.add_argument("--against", default="", help="another commit: this code and that one's, by their jobs alone")
    parser.add_argument("--cache", default=CACHE, help="keeps the users' speech between runs")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    if args.against:
        emit(
            "against", compare_with(args.against, args.users, args.minutes, args.test_sentences, args.cache), args.save
        )
        return
    trained = args.base == "trained"
    ordinary = base_corpus(args.cache, args.base_sentences if trained else 20, 40 if trained else 5)
    users = speakers(args.cache, args.users, args.minutes, args.test_sentences, ordinary)
    with tempfile.TemporaryDirectory(prefix="ds2ray-bench-") as folder:
        base_path = base_named(args.base, args.model, args.cache, ordinary, users, folder)
        work = Workload(
            # without cross-validation, which the plain loop does not have
            task=Task(base_path, AdapterConfig(after_layer=args.after_layer), AdaptConfig(cross_validate_below=0)),
            users=users,
            minutes=args.minutes,
            baseline_users=min(args.baseline_users, args.users),
            training_users=min(args.training_users, args.users),
            workers=args.workers,
            cluster=ClusterConfig(address=args.cluster_address),
            folder=folder,
        )
        results = [compare(work, int(epochs)) for epochs in args.epochs.split(",")]
    speech_s = sum(u.duration_s or 0.0 for user in work.speech(args.users) for u in user.adapt)
    fields = {
        **results[0],
        "users": args.users,
        "speech_s_per_user": speech_s / args.users,
        "model": args.model if args.base in NAMED else "given",
        "base": args.base if args.base in NAMED else "given",
        "after_layer": args.after_layer,
        "workers": args.workers,
        "threads_per_worker": 1,
        "baseline_users": work.baseline_users,
        "note": (
            f"(a) and (b) timed on {work.baseline_users} users and scaled; (a) without the start of Ray, (c) with all "
            f"of a fleet run; speedup_training is per user, (c) on {work.training_users}, one process and thread each; "
            "the ceiling's B and A with the loop's own batches and code"
        ),
        "results": results,
    }
    emit("adapt", fields, args.save)


def base_named(name: str, model: str, cache: str, ordinary: DemoCorpus, users: Sequence[Speaker], folder: str) -> str:
    """The path of a base: one of `NAMED`, or the model.pt that is given."""
    if name == "trained":
        return trained_base(cache, ordinary, TRAINING, model)
    if name == "random":
        vocabulary = vocabulary_of([u for user in users for u in (*user.adapt, *user.test)])
        return saved_random_base(model, vocabulary, folder)
    return storage.absolute(name)


def compare(work: Workload, epochs: int) -> dict[str, object]:
    """The figures of all ways at one number of epochs, without early stopping."""
    config = replace(work.task.adapt, num_epochs=epochs, patience_epochs=epochs)
    task = replace(work.task, adapt=config)
    folder = f"{work.folder}/{epochs}"
    few, some = work.speech(work.baseline_users), work.speech(work.training_users)

    parts = measured_apart(parts_of_the_loop, task, few[0]).value
    loop_s, once_s = epochs * (parts.encode_s + parts.epoch_s), parts.encode_s + epochs * parts.epoch_s
    fleet_s = once_s * len(work.users) / work.workers
    expected_s = loop_s * len(few) * (1 + 1 / work.workers) + once_s * len(some) + fleet_s
    say(
        f"{epochs} epochs: B = {parts.encode_s:.2f} s, A = {parts.epoch_s:.3f} s, ceiling {loop_s / once_s:.1f}; "
        f"about {expected_s / 60:.0f} minutes to come"
    )
    alone = measured_apart(loop, task, few, f"{folder}/loop")
    say(f"(b) loop: {alone.value / len(few):.1f} s per user")
    together = measured_apart(cohort_in_process, task, some, f"{folder}/cohort")
    say(f"(c) cohort in one process: {together.value / len(some):.1f} s per user")
    trials_s = trial_per_user(task, few, f"{folder}/trials", work.cluster, work.workers)
    say(f"(a) a trial per user: {trials_s:.0f} s for {len(few)} users")
    fleet_s = fleet_run(task, work.speech(len(work.users)), f"{folder}/fleet", work.cluster, work.workers)
    say(f"(c) fleet run: {fleet_s:.0f} s for {len(work.users)} users")

    training = (alone.value / len(few)) / (together.value / len(some))
    ceiling = loop_s / once_s
    per_hour = {
        "trial": 3600 * len(few) / trials_s,
        "loop": 3600 * len(few) / alone.value,
        "cohort": 3600 * len(work.users) / fleet_s,
    }
    return {
        "epochs": epochs,
        **{f"users_per_hour_{way}": rate for way, rate in per_hour.items()},
        "speedup_end_to_end": per_hour["cohort"] / per_hour["trial"],
        "speedup_training": training,
        "ceiling": ceiling,
        "share_of_ceiling": training / ceiling,
        "encode_s": parts.encode_s,
        "adapter_epoch_s": parts.epoch_s,
        "max_wer_difference": max_wer_difference(few, f"{folder}/loop", f"{folder}/cohort"),
        "max_weight_difference": max_weight_difference(few, f"{folder}/loop", f"{folder}/cohort"),
        "wer": mean_wer(few, f"{folder}/cohort"),
        "peak_memory_mb": together.peak_memory_mb,
        "peak_memory_loop_mb": alone.peak_memory_mb,
    }


def max_wer_difference(users: Sequence[Speaker], first_root: str, second_root: str) -> float:
    """The largest difference of any user's WER on the test sentences, in points of 100, between two stores."""
    rates = zip(wer_by_user(users, first_root), wer_by_user(users, second_root), strict=True)
    return max(abs(first - second) for first, second in rates)


def max_weight_difference(users: Sequence[Speaker], first_root: str, second_root: str) -> float:
    """The largest difference of any weight of the users' adapters between two stores."""
    base = open_base(Store(first_root))
    largest = 0.0
    for user in users:
        first, second = (open_adapter(Store(root), user_key(user.user_id), base) for root in (first_root, second_root))
        assert first is not None
        assert second is not None
        states = first[1].state_dict(), second[1].state_dict()
        largest = max(largest, *(float((states[0][name] - states[1][name]).abs().max()) for name in states[0]))
    return largest


def mean_wer(users: Sequence[Speaker], root: str) -> float:
    """Mean WER over users on their test sentences, in percent."""
    return sum(wer_by_user(users, root)) / len(users)


def wer_by_user(users: Sequence[Speaker], root: str) -> list[float]:
    """WER of each user's test sentences with the adapter that the store has, in percent."""
    transcriber = Transcriber.open(root, device="cpu")
    rates = []
    for user in users:
        hypotheses = transcriber.transcribe_utterances(user.test)
        score = transcriber.score([u.transcript for u in user.test], hypotheses)
        rates.append(100 * score.words.rate())
    return rates


if __name__ == "__main__":
    main()
