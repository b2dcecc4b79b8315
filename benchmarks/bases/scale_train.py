"""Scaling of base training: one DDP worker and two, of one thread each, on Ray; and the speed of the loader alone.

`speech_per_time` is hours of audio per hour in the last epoch of a training, without its start. Where two processors
are threads of one core, they share its arithmetic. `hardware_limit` is therefore measured beside it: the gain of two
independent processes of one thread over one, on the same work.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from benchmarks.common import CACHE, emit, measured_apart, say, start_apart
from benchmarks.speech import MODELS, base_corpus, vocabulary_of
from ds2ray.batching.batches import SpeechDataset
from ds2ray.batching.epoch_plan import Batching, epoch_course
from ds2ray.config import ClusterConfig, TrainConfig
from ds2ray.store import Store, read_base_record
from ds2ray.tables.manifest import read_manifest
from ds2ray.training.base.loading import Loader
from ds2ray.training.base.loop import train_base
from ds2ray.training.base.reports import EpochReport, Observer
from ds2ray.training.base.task import BaseTask


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=160, help="utterances of an epoch")
    parser.add_argument("--epochs", type=int, default=2, help="the last one counts")
    parser.add_argument("--batch-size", type=int, default=16, help="utterances per batch and worker")
    parser.add_argument("--model", default="ds2_small", help="shape of the base")
    parser.add_argument("--cluster-address", default="local", help="Ray's address; local: one for this run")
    parser.add_argument("--cache", default=CACHE, help="keeps the speech between runs")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="ds2ray-bench-") as folder:
        task = make_task(args, folder)
        loader = measured_apart(loader_speed, task).value
        say(f"the loader alone: {loader:.0f} h of speech per hour")
        alone = measured_apart(train_alone, task, f"{folder}/alone").value
        both = [start_apart(train_alone, task, f"{folder}/alone-{n}") for n in (1, 2)]
        limit = sum([measured().value for measured in both]) / alone
        say(
            f"one process {alone:.1f} h of speech per hour; two that know nothing of each other, {limit:.2f} times that"
        )
        cluster = ClusterConfig(address=args.cluster_address)
        one, two = (train_by_workers(task, f"{folder}/{n}", replace(cluster, num_workers=n)) for n in (1, 2))
        say(f"one worker {one:.1f}, two {two:.1f} h of speech per hour")
    fields = {
        "speedup": two / one,
        "hardware_limit": limit,
        "share_of_limit": two / one / limit,
        "speech_per_time_workers": [one, two],
        "speech_per_time_alone": alone,
        "loader_speech_per_time": loader,
        "loader_over_step": loader / alone,
        "model": args.model,
        "utterances": len(task.train_utterances),
        "batch_size": args.batch_size,
        "threads_per_worker": 1,
        "loader_threads": task.train.loader_threads,
    }
    emit("scale_train", fields, args.save)


def make_task(args: argparse.Namespace, folder: str) -> BaseTask:
    """The task of training a base on ordinary voices of the demo."""
    corpus = base_corpus(args.cache, args.sentences, 5)
    train, valid = (read_manifest(uri).utterances for uri in (corpus.train_manifest, corpus.valid_manifest))
    model, audio = MODELS[args.model]
    return BaseTask(
        model=model,
        audio=audio,
        vocabulary=vocabulary_of([*train, *valid]),
        train=TrainConfig(num_epochs=args.epochs, batch_size=args.batch_size, output_dir=f"{folder}/outputs"),
        train_utterances=train,
        valid_utterances=valid,
        checkpoint_uri=f"{folder}/checkpoints",
    )


def in_folder(task: BaseTask, folder: str) -> BaseTask:
    """A copy of the task that writes all its outputs to this folder."""
    train = replace(task.train, output_dir=f"{folder}/outputs")
    return replace(task, train=train, checkpoint_uri=f"{folder}/checkpoints")


def train_alone(task: BaseTask, folder: str) -> float:
    """Train in this process, without Ray; hours of audio per hour in the last epoch."""
    torch.set_num_threads(1)
    reports: list[EpochReport] = []
    train_base(in_folder(task, folder), "cpu", Observer(reports.append))
    return reports[-1].speech_s / reports[-1].seconds


def train_by_workers(task: BaseTask, folder: str, cluster: ClusterConfig) -> float:
    """Train on Ray; hours of audio per hour in the last epoch, as the published base tells."""
    from ds2ray.cluster.base_training import train_on_ray

    with contextlib.redirect_stdout(sys.stderr):
        train_on_ray(in_folder(task, folder), Store(f"{folder}/store"), cluster)
    metrics = read_base_record(Store(f"{folder}/store")).metrics
    return metrics["speech_s"] / metrics["seconds"]


def loader_speed(task: BaseTask) -> float:
    """Hours of audio per hour that the loader decodes alone, without training."""
    config = task.train
    dataset = SpeechDataset(task.train_utterances, task.vocabulary, task.audio)
    durations_s = np.array(dataset.durations_s(), dtype=np.float64)
    course = epoch_course(durations_s, Batching(config.batch_size, seed=config.seed), 0, [], 1)
    with Loader(dataset, config.loader_threads) as loader:
        next(loader.rest_of_epoch(course, 0))  # threads and libraries start once in a run
        started_s = time.perf_counter()
        samples = sum(int(loaded.batch.num_samples.sum()) for loaded in loader.rest_of_epoch(course, 0))
        return samples / task.audio.sample_rate_hz / (time.perf_counter() - started_s)


if __name__ == "__main__":
    main()
