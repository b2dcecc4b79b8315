"""An epoch of a thousand hours: reading a manifest of a million utterances, and planning an epoch of it.

The manifest is that of a packed corpus, whose audio is not read. All work of base training before the first batch is
done: reading, validation, the vocabulary, the split and the plan. `peak_memory_mb` is the peak over all of it,
`seconds` are those of reading and planning together.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from benchmarks.common import emit, measured_apart, say
from ds2ray import storage
from ds2ray.batching.batches import SpeechDataset
from ds2ray.batching.epoch_plan import Batching, EpochPlan, epoch_course
from ds2ray.config import AudioConfig, DataConfig, ModelConfig, TextConfig, TrainConfig
from ds2ray.packs.references import WINDOW_GROUPS, row_groups_of
from ds2ray.shapes.architectures import shape_of
from ds2ray.training.base.sources import load_training_data

MEAN_S, SHORTEST_S, LONGEST_S = 3.6, 0.5, 25.0
GROUP_ROWS, SHARD_GROUPS = 140, 16
"""Utterances in a row group and row groups in a shard: some 8 MB and 128 MB of flac."""


@dataclass(frozen=True)
class Planned:
    """Seconds of each part, and figures of the plan; `resume_s` is planning the rest of an epoch for other ranks."""

    read_s: float
    plan_s: float
    resume_s: float
    utterances: int
    hours: float
    steps: int
    padding_share: float


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=1_000_000, help="rows of the manifest")
    parser.add_argument("--workers", type=int, default=8, help="ranks that the epoch is planned for")
    parser.add_argument("--batch-seconds", type=float, default=320.0, help="padded audio of a batch")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="ds2ray-epoch-") as folder:
        manifest = storage.join(folder, "manifest.parquet")
        say(f"a manifest of {args.utterances} utterances …")
        write_utterances(manifest, args.utterances)
        say("reading it and planning an epoch …")
        measured = measured_apart(plan, manifest, args.workers, args.batch_seconds)
    planned = measured.value
    fields = {
        "seconds": planned.read_s + planned.plan_s,
        "peak_memory_mb": measured.peak_memory_mb,
        "read_seconds": planned.read_s,
        "plan_seconds": planned.plan_s,
        "resume_seconds": planned.resume_s,
        "utterances": planned.utterances,
        "hours": planned.hours,
        "steps": planned.steps,
        "padding_share": planned.padding_share,
        "workers": args.workers,
        "batch_s": args.batch_seconds,
    }
    emit("epoch", fields, args.save)


def write_utterances(uri: str, count: int) -> None:
    """Utterances of 3.6 s on average, most of them shorter, of two words a second."""
    draws = np.random.default_rng(0)
    durations_s = np.minimum(SHORTEST_S + draws.exponential(MEAN_S - SHORTEST_S, count), LONGEST_S)
    words = np.array(["light", "kitchen", "turn", "the", "on", "seven", "please", "window", "a", "music"])
    chosen = words[draws.integers(0, len(words), (count, 10))]
    transcripts = [" ".join(row[: max(1, int(2 * seconds))]) for row, seconds in zip(chosen, durations_s, strict=True)]
    columns = {
        "utterance_id": [f"utterance-{number:07d}" for number in range(count)],
        "user_id": [f"speaker-{number % 5000:04d}" for number in range(count)],
        "shard": [f"shards/{number // GROUP_ROWS // SHARD_GROUPS:05d}.parquet" for number in range(count)],
        "row_group": [number // GROUP_ROWS % SHARD_GROUPS for number in range(count)],
        "row": [number % GROUP_ROWS for number in range(count)],
        "duration_s": durations_s.round(3),
        "transcript": transcripts,
    }
    storage.write_table(uri, pa.table(columns))


def plan(manifest: str, workers: int, batch_s: float) -> Planned:
    """Read a manifest as base training does, plan its first epoch, and go on in the middle of it on one rank more."""
    times_s = [time.perf_counter()]
    train, audio = TrainConfig(manifest=manifest, valid_fraction=0.01, batch_s=batch_s), AudioConfig()
    data = load_training_data(train, DataConfig(), TextConfig(), shape_of(ModelConfig(), audio))
    times_s.append(time.perf_counter())
    durations_s = np.array(SpeechDataset(data.train, data.vocabulary, audio).durations_s(), dtype=np.float64)
    groups = row_groups_of(utterance.audio for utterance in data.train)
    batching = Batching(train.batch_size, batch_s, seed=train.seed, window_groups=WINDOW_GROUPS, own_groups=True)
    course = epoch_course(durations_s, batching, 0, [], workers, groups)
    times_s.append(time.perf_counter())
    rest = epoch_course(durations_s, batching, 0, [(workers, course.num_steps // 2)], workers + 1, groups)
    times_s.append(time.perf_counter())
    if not 0 < len(rest.plan.order) < len(course.plan.order) == len(data.train):
        raise RuntimeError("the plan of an epoch, or that of its rest, has not every utterance once")
    read_s, plan_s, resume_s = np.diff(times_s).tolist()
    hours = float(durations_s.sum()) / 3600
    padding_share = padding(course.plan, durations_s)
    return Planned(read_s, plan_s, resume_s, len(data.train), hours, course.num_steps, padding_share)


def padding(planned: EpochPlan, durations_s: np.ndarray) -> float:
    """Share of the padded audio of all batches that is padding."""
    starts = planned.batch_starts[:-1][np.diff(planned.batch_starts) > 0]
    sizes = np.diff(np.append(starts, len(planned.order)))
    longest_s = np.maximum.reduceat(durations_s[planned.order], starts)
    return 1 - float(durations_s.sum() / (sizes * longest_s).sum())


if __name__ == "__main__":
    main()
