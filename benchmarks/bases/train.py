"""Training steps of a base against the public layout of DeepSpeech2.

Both layouts take the same batches of the same audio in turn, with features, masking, CTC, clipping and the optimizer's
step; the fastest step of each counts. `speech_per_time` is hours of audio per hour.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import torch

from benchmarks.bases.public_layout import PublicTraining
from benchmarks.common import emit, say
from benchmarks.speech import MODELS
from benchmarks.synthetic import SAMPLE_RATE_HZ, VOCABULARY, utterances_of
from ds2ray.batching.batches import Batch, SpeechDataset, collate
from ds2ray.config import TrainConfig
from ds2ray.model.building import build_model
from ds2ray.training.base.learner import Learner


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="ds2_small,ds2", help="shapes; the first is the headline")
    parser.add_argument("--batch-size", type=int, default=8, help="utterances of a batch")
    parser.add_argument("--longest", type=float, default=8.0, help="seconds of the longest utterance of a batch …")
    parser.add_argument("--shortest", type=float, default=6.0, help="… and of the shortest")
    parser.add_argument("--steps", type=int, default=3, help="of each, after one that does not count")
    parser.add_argument("--threads", default="1,2", help="CPU threads to compare with; the first is the headline")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    threads = [torch.get_num_threads()] if device.type == "cuda" else [int(text) for text in args.threads.split(",")]
    batch = make_batch(args.batch_size, args.shortest, args.longest)
    results = []
    for number in threads:
        torch.set_num_threads(number)
        results += [compare(model, batch, args.steps, device, number) for model in args.models.split(",")]
    fields = {
        **{name: results[0][name] for name in ("speedup", "speech_per_time", "speech_per_time_public", "model")},
        "device": device.type,
        "batch_size": args.batch_size,
        "speech_s_per_batch": speech_s(batch),
        "results": results,
    }
    emit("train", fields, args.save)


def make_batch(size: int, shortest_s: float, longest_s: float) -> Batch:
    """Utterances of like duration, the longest first, as packing wants them."""
    step_s = (longest_s - shortest_s) / max(1, size - 1)
    utterances = utterances_of([longest_s - place * step_s for place in range(size)], seed=0)
    dataset = SpeechDataset(utterances, VOCABULARY, MODELS["ds2"][1])
    return collate([dataset[row] for row in range(size)])


def speech_s(batch: Batch) -> float:
    """Seconds of audio of a batch, without padding."""
    return float(batch.num_samples.sum()) / SAMPLE_RATE_HZ


def compare(name: str, batch: Batch, steps: int, device: torch.device, threads: int) -> dict[str, object]:
    """The figures of both layouts for one preset: hours of audio per hour."""
    shape, audio = MODELS[name]
    config = TrainConfig(learning_rate=1e-4)
    torch.manual_seed(0)
    learner = Learner(build_model(shape, audio, len(VOCABULARY)).to(device), config, device)
    learner.wrapped.train()
    public = PublicTraining(shape, audio, len(VOCABULARY), config, device)

    def ours() -> float:
        loss = learner.accumulate(batch, len(batch))
        if not learner.update(config.learning_rate):
            raise RuntimeError("a step of ours had no finite gradient")
        return float(loss) / len(batch)

    say(f"{name}, {threads} threads: one step of each to begin with …")
    ours_s, public_s = fastest_in_turn([ours, lambda: public.step(batch)], steps, device)
    rate, rate_public = speech_s(batch) / ours_s, speech_s(batch) / public_s
    say(f"{name}: {rate:.1f} h of speech per hour, the public layout {rate_public:.1f}: {public_s / ours_s:.2f} times")
    return {
        "model": name,
        "threads": threads,
        "speedup": public_s / ours_s,
        "speech_per_time": rate,
        "speech_per_time_public": rate_public,
        "step_s": ours_s,
        "step_s_public": public_s,
    }


def fastest_in_turn(steps: Sequence[Callable[[], float]], repeats: int, device: torch.device) -> list[float]:
    """Seconds of the fastest call of each function; they are called in turn, and the first turn does not count."""
    seconds: list[list[float]] = [[] for _ in steps]
    for _ in range(repeats + 1):
        for step, own in zip(steps, seconds, strict=True):
            _finish(device)
            started_s = time.perf_counter()
            step()
            _finish(device)
            own.append(time.perf_counter() - started_s)
    return [min(own[1:]) for own in seconds]


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
