"""Cohorts on one GPU: users an hour, time by stage, and shares of the GPU's peaks.

Needs torch, torchaudio, safetensors, pyarrow, fsspec, soundfile and numpy: no Ray, no Hydra. Speech is synthetic and
lies encoded in host memory, as if it had just been read from storage; weights are random, which changes no timing.
All users train all epochs. On a machine without a GPU it runs on the CPU, only to show that it works.

Each base is measured with adapters after its last layer, and before its first recurrent one, as is the default.
`speedup` compares with training one user after another by the plain loop, warmed up and in the same precision.

Users an hour are taken without the stage clock, which waits for the GPU after every stage; the stages are a run of
their own. GPU idle share is that of a profiled run, whose launches are slower than without the profiler.
"""

import argparse
import copy
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from benchmarks.adapting.gpu_limits import Limits, idle_share, measured_limits, trunk_flops
from benchmarks.adapting.ways import Task, train_one
from benchmarks.common import emit, say
from benchmarks.speech import MODELS, Speaker, random_base
from benchmarks.synthetic import VOCABULARY, synthetic_users
from ds2ray.config import AdaptConfig, AdapterConfig
from ds2ray.model.weights import Base
from ds2ray.tables.manifest import Utterance
from ds2ray.training.adapters.cohort import adapt_cohort, results_of
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.progress import StageClock
from ds2ray.training.precision import bfloat16_trunk, uses_bfloat16

STAGES = ("read", "mel", "encode", "train", "gate")


SHORT = {"models": "ds2_small", "users": "512", "baseline_users": 0, "profile_users": 0}
"""Arguments of `--short`."""


@dataclass(frozen=True)
class Bench:
    """The bench: a base on a device with one place for adapters, and the users' speech."""

    model_name: str
    base: Base
    voices: list[Speaker]
    task: Task
    device: str
    limits: Limits

    def users(self, count: int) -> dict[str, Sequence[Utterance]]:
        """Speech of `count` users by name; several users share the same bytes."""
        return {f"user-{n}": self.voices[n % len(self.voices)].adapt for n in range(count)}

    def utterances(self, count: int) -> list[Utterance]:
        return [utterance for own in self.users(count).values() for utterance in own]

    def speech_s(self, count: int) -> float:
        return sum(utterance.duration_s or 0.0 for utterance in self.utterances(count))

    def train(self, count: int, stages: StageClock | None = None, epochs: int = 0) -> float:
        """Seconds to adapt a cohort of so many users."""
        adapt = _for_epochs(self.task.adapt, epochs) if epochs else self.task.adapt
        self.synchronize()
        started_s = time.perf_counter()
        users = self.users(count)
        events = adapt_cohort(self.base, users, self.task.adapter, adapt, device=self.device, stages=stages)
        for result in results_of(events):
            if result.fit is None:
                raise RuntimeError(f"{result.user_key} could not be trained: {result.reason}")
        self.synchronize()
        return time.perf_counter() - started_s

    def encoder(self) -> Encoder:
        """The precision that cohorts use on this device."""
        adapt, place = self.task.adapt, self.task.adapter.after_layer
        return Encoder(self.base, place, adapt.encode_batch_s, self.device, adapt.precision)

    def padding_share(self, count: int) -> float:
        return self.encoder().encode(self.utterances(count)).padding

    def alone(self, count: int) -> float | None:
        """Seconds per user of the plain loop, which runs the base in every epoch; None without users."""
        if not count:
            return None
        base = self.plain_base()
        few = replace(self.voices[0], adapt=self.voices[0].adapt[:4])
        # start-up costs of the process are not timed
        train_one(base, few, replace(self.task, adapt=_for_epochs(self.task.adapt, 1)), self.device)
        self.synchronize()
        started_s = time.perf_counter()
        for voice in self.voices[:count]:
            train_one(base, voice, self.task, self.device)
        self.synchronize()
        return (time.perf_counter() - started_s) / min(count, len(self.voices))

    def plain_base(self) -> Base:
        """A copy of the base for the plain loop: as in cohorts, the trunk may be in bfloat16, the head never is."""
        model, place = self.base.model, self.task.adapter.after_layer
        if not uses_bfloat16(self.task.adapt.precision, self.device):
            return replace(self.base, model=copy.deepcopy(model))
        half, full = bfloat16_trunk(model), copy.deepcopy(model)
        end = model.layer_index(place)
        for stage in range(end, len(full.stages)):
            half.stages[stage] = full.stages[stage]
        return replace(self.base, model=half)

    def synchronize(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="ds2_small,ds2_large", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--users", default="64,256,1024", help="cohort sizes")
    parser.add_argument("--minutes", type=float, default=10.0, help="speech per user")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--after-layer", default="-1,0", help="the adapters' places; -1: after the last layer")
    parser.add_argument("--voices", type=int, default=8, help="users whose speech differs; the others repeat it")
    parser.add_argument("--format", default="flac", help="of the audio in memory: flac or wav")
    parser.add_argument("--baseline-users", type=int, default=1, help="users of the one-at-a-time baseline; 0: none")
    parser.add_argument("--profile-users", type=int, default=64, help="users of the profiled run; 0: none")
    parser.add_argument(
        "--batch-s", type=float, default=0.0, help="seconds of audio per call of the trunk; 0: by the device"
    )
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    parser.add_argument("--short", action="store_true", help="one model and cohort, neither baseline nor profile")
    args = parser.parse_args(list(with_values(sys.argv[1:] if argv is None else argv, "--after-layer")))
    if args.short:
        vars(args).update(SHORT)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    say(f"speaking {args.voices} × {args.minutes:g} minutes …")
    voices = synthetic_users(args.voices, args.minutes, args.format)
    limits = measured_limits(device)
    say(f"measured peaks: {limits}")
    adapt = _for_epochs(AdaptConfig(encode_batch_s=args.batch_s), args.epochs)
    results = []
    for name in args.models.split(","):
        base = random_base(name, VOCABULARY)
        base.model.to(device)
        for place in args.after_layer.split(","):
            task = Task("", AdapterConfig(after_layer=int(place)), adapt)
            bench = Bench(f"{name} after_layer={place}", base, voices, task, device, limits)
            results.append(measure(bench, [int(size) for size in args.users.split(",")], args))
    fields = {
        "users_per_hour": {str(result["model"]): result["users_per_hour"] for result in results},
        "speedup": {str(result["model"]): result["speedup"] for result in results},
        "device": device,
        "minutes": args.minutes,
        "epochs": args.epochs,
        "audio": args.format,
        "matmul_tflops": limits.matmul_tflops,
        "copy_gb_per_s": limits.copy_gb_per_s,
        "results": results,
    }
    emit("gpu", fields, args.save)


def measure(bench: Bench, sizes: Sequence[int], args: argparse.Namespace) -> dict[str, object]:
    """The figures of one base and place: every cohort size, the baseline, memory and idle time."""
    bench.train(2, epochs=1)  # start-up costs of the process: kernels are loaded, memory is reserved
    cohorts = list(_cohorts(bench, sizes))
    best = max(row["users_per_hour"] for row in cohorts)
    alone_s = bench.alone(args.baseline_users)
    alone = f"{alone_s:.2f} s for one user alone, " if alone_s else ""
    say(f"{bench.model_name}: {alone}{3600 / best:.4f} s in the best cohort")
    return {
        "model": bench.model_name,
        "users_per_hour": best,
        "users_per_hour_alone": 3600 / alone_s if alone_s else None,
        "speedup": best * alone_s / 3600 if alone_s else None,
        "memory_per_user_mb": _memory_per_user_mb(cohorts),
        "gpu_idle_share": _idle_share(bench, min(args.profile_users, max(sizes))),
        "cohorts": cohorts,
    }


def _cohorts(bench: Bench, sizes: Sequence[int]) -> Iterator[dict[str, float]]:
    for count in sizes:
        if bench.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        seconds = bench.train(count)
        peak_mb = torch.cuda.max_memory_allocated() / 1e6 if bench.device == "cuda" else 0.0
        clock = StageClock(bench.device)
        clocked_s = bench.train(count, clock)
        speech_s = bench.speech_s(count)
        row: dict[str, float] = {
            "users": count,
            "users_per_hour": 3600 * count / seconds,
            **{f"{stage}_ms_per_user": 1000 * clock.seconds[stage] / count for stage in STAGES},
            "rest_ms_per_user": 1000 * (clocked_s - sum(clock.seconds[stage] for stage in STAGES)) / count,
            "encode_share_of_matmul_peak": bench.limits.share_of_matmul(
                trunk_flops(bench.base, bench.task.adapter.after_layer, speech_s), clock.seconds["encode"]
            ),
            "mel_share_of_copy_peak": bench.limits.share_of_copy(
                4 * bench.base.audio.sample_rate_hz * speech_s, clock.seconds["mel"]
            ),
            "encode_batch_s": bench.encoder().batch_s(),
            "padding_share": bench.padding_share(count),
            "peak_gpu_memory_mb": peak_mb,
        }
        say(f"{bench.model_name}, " + ", ".join(f"{name} {value:.4g}" for name, value in row.items()))
        yield row


def _memory_per_user_mb(cohorts: Sequence[dict[str, float]]) -> float | None:
    """GPU memory that each further user takes, encodings included; None for a single cohort size, or without a GPU."""
    first, last = cohorts[0], cohorts[-1]
    if last["users"] == first["users"] or not last["peak_gpu_memory_mb"]:
        return None
    return (last["peak_gpu_memory_mb"] - first["peak_gpu_memory_mb"]) / (last["users"] - first["users"])


def _idle_share(bench: Bench, count: int) -> float | None:
    if bench.device != "cuda" or count == 0:
        return None
    return idle_share(lambda: bench.train(count, epochs=2))


def with_values(argv: Sequence[str], option: str) -> Iterator[str]:
    """The arguments, an option and its value as one of them: argparse takes -1,0 for an option."""
    rest = iter(argv)
    for argument in rest:
        yield f"{argument}={next(rest, '')}" if argument == option else argument


def _for_epochs(adapt: AdaptConfig, epochs: int) -> AdaptConfig:
    return replace(adapt, num_epochs=epochs, patience_epochs=epochs)


if __name__ == "__main__":
    main()
