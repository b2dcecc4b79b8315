"""The price of users' own adapters in recognition: mixed batches, cold adapters on S3, and a cache that is too small.

Rows of synthetic speech are recognised by the base alone, with one user's adapter, with the adapters of as many users
as there are rows, mixed in common batches, and by the same users one after another: in turns, in CPU seconds of this
process (on a GPU in seconds), whatever else the machine does. The base has random weights; it is once as large as the
default, and once as the demo's, where adapters are a larger share of the work. Cold adapters are read from a real S3
server on this machine, one by one and 32 together. Then many users pass a cache that holds a part of them.
`falls_short` names the bars that are missed.
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from s3_server import serve

from benchmarks.common import emit, measured_apart, own_memory_mb, say
from benchmarks.synthetic import VOCABULARY, utterances_of
from ds2ray.config import AdapterConfig, AudioConfig, ModelConfig, Vad, adapter_to_plain
from ds2ray.model.adapters.kinds import build_adapter
from ds2ray.model.building import build_model
from ds2ray.model.stored import publish_base
from ds2ray.model.weights import Base, to_bytes
from ds2ray.recognition.speakers import Speakers
from ds2ray.recognition.transcriber import Transcriber
from ds2ray.store import Store, publish_adapter
from ds2ray.tables.manifest import Utterance

SHAPES = {
    "default": (ModelConfig(), AudioConfig()),
    "demo": (ModelConfig(conv_channels=16, num_rnn_layers=2, rnn_hidden_dim=160), AudioConfig(num_mels=40)),
}
WAYS = ("base", "one_user", "mixed", "one_after_another")
COLD_USERS, COLD_TURNS = 32, 5
CACHED = AdapterConfig(hidden_dims=[16])
"""The adapters of the many users: small ones, so that all of them fit a disk."""

MIXED_OVER_BASE, GROWTH_SHARE, SLOWER = 1.15, 0.1, 1.2
"""Bars: the price of mixed batches, and what memory and the time of a load may grow by after the cache is full."""
GROWTH_MB = 10.0
"""Memory that may be added in any case: a kilobyte a user, which allocators keep of what threads have freed."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=32, help="and users, of the batches that are compared")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--users", type=int, default=10_000, help="that pass the cache")
    parser.add_argument("--open", type=int, default=500, help="users that the cache holds")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    speeds = {name: compare_ways(name, arguments.rows, arguments.turns) for name in SHAPES}
    with tempfile.TemporaryDirectory(prefix="ds2ray-s3-") as folder, serve(Path(folder)) as server:
        os.environ.update(server.environment())
        cold = cold_adapters(server.new_root())
    say(f"one cold adapter {cold['cold_adapter_ms']:.0f} ms, {COLD_USERS} together {cold['cold_batch_ms']:.0f} ms")
    cache = measured_apart(pass_cache, arguments.users, arguments.open).value
    over = {name: speed["base"] / speed["mixed"] for name, speed in speeds.items()}
    fields = {"mixed_over_base": over, "rows_per_s": speeds, **cold, **cache}
    emit("transcribe", {**fields, "falls_short": falls_short(over, cache)}, save=arguments.save)


def falls_short(mixed_over_base: Mapping[str, float], cache: Mapping[str, float]) -> list[str]:
    """The bars that are missed."""
    missed = [f"mixed_over_base {name}" for name, ratio in mixed_over_base.items() if ratio > MIXED_OVER_BASE]
    allowed_mb = max(GROWTH_MB, GROWTH_SHARE * cache["cache_memory_mb"])
    missed += ["cache_growth_mb"] if cache["cache_growth_mb"] > allowed_mb else []
    return [*missed, *(["load_ms_last"] if cache["load_ms_last"] > SLOWER * cache["load_ms_first"] else [])]


def compare_ways(shape: str, rows: int, turns: int) -> dict[str, float]:
    """Rows per second in each of WAYS, at the best of so many turns."""
    with tempfile.TemporaryDirectory(prefix="ds2ray-mixed-") as root:
        store, base = Store(root), publish_random_base(root, shape)
        draws = random.Random(0)
        speech = utterances_of([draws.uniform(2.0, 4.0) for _ in range(rows)], seed=0, file_format="wav")
        mixed = [replace(u, user_id=f"user-{number}") for number, u in enumerate(speech)]
        for utterance in mixed:
            publish_random_adapter(store, base, utterance.user_id, AdapterConfig())
        transcriber = Transcriber.open(store, vad=Vad.off, batch_s=1000.0)
        ways: dict[str, Callable[[], object]] = {
            "base": lambda: transcriber.transcribe_utterances(speech, use_adapters=False),
            "one_user": lambda: transcriber.transcribe_utterances([replace(u, user_id="user-0") for u in speech]),
            "mixed": lambda: _all_adapted(transcriber, mixed),
            "one_after_another": lambda: [transcriber.transcribe_utterances([u]) for u in mixed],
        }
        seconds: dict[str, list[float]] = {name: [] for name in WAYS}
        clock = time.perf_counter if transcriber.device.type == "cuda" else time.process_time
        for turn in range(turns + 1):  # the first one opens adapters and is not counted
            for name in WAYS:
                started_s = clock()
                ways[name]()
                seconds[name] += [clock() - started_s] if turn else []
    speeds = {name: rows / min(times) for name, times in seconds.items()}
    say(f"{shape}: " + ", ".join(f"{name} {speed:.1f} rows/s" for name, speed in speeds.items()))
    return speeds


def _all_adapted(transcriber: Transcriber, utterances: Sequence[Utterance]) -> None:
    versions = {hypothesis.adapter for hypothesis in transcriber.transcribe_utterances(utterances)}
    if len(versions) != len(utterances):
        raise RuntimeError(f"{len(utterances)} users were recognised by {len(versions)} adapters")


def cold_adapters(root_uri: str) -> dict[str, float]:
    """Milliseconds, as a median, of opening one default adapter of the default base, and those of 32 users together."""
    store, base = Store(root_uri), publish_random_base(root_uri, "default")
    users = [f"user-{number}" for number in range(COLD_USERS)]
    for user in users:
        publish_random_adapter(store, base, user, AdapterConfig())
    single: list[float] = []
    together: list[float] = []
    for turn in range(COLD_TURNS):
        for times, wanted in ((single, users[turn : turn + 1]), (together, users)):
            speakers, started_s = Speakers(store, base), time.perf_counter()
            found = speakers.find_all(wanted)
            times.append(1000 * (time.perf_counter() - started_s))
            if not all(speaker.adapter for speaker in found.values()):
                raise RuntimeError("an adapter could not be opened")
    return {"cold_adapter_ms": statistics.median(single), "cold_batch_ms": statistics.median(together)}


def pass_cache(users: int, max_open: int) -> dict[str, float]:
    """Memory of a cache of `max_open` adapters while `users` pass it, in batches of 32, and the time of a load.

    Memory is this process's own (anonymous, resident), in 10^6 bytes: what the full cache takes, and what is added to
    it by all users after the second filling. Loads are in CPU milliseconds per user: of the second filling and of the
    last one.
    """
    in_memory = Path("/dev/shm")
    folder = str(in_memory) if in_memory.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="ds2ray-cache-", dir=folder) as root:
        store, base = Store(root), publish_random_base(root, "demo")
        names = [f"user-{number}" for number in range(users)]
        for name in names:
            publish_random_adapter(store, base, name, CACHED)
        speakers = Speakers(store, base, max_open)
        empty_mb, memory_mb, load_ms = own_memory_mb(), [], []
        for start in range(0, users, max_open):
            some = names[start : start + max_open]
            started_s = time.process_time()
            for first in range(0, len(some), COLD_USERS):
                speakers.find_all(some[first : first + COLD_USERS])
            load_ms.append(1000 * (time.process_time() - started_s) / len(some))
            memory_mb.append(own_memory_mb())
        if len(speakers) != min(users, max_open):
            raise RuntimeError(f"{len(speakers)} speakers are kept")
    second = min(1, len(memory_mb) - 1)
    return {
        "cache_users": float(users),
        "cache_open": float(max_open),
        "cache_memory_mb": memory_mb[second] - empty_mb,
        "cache_growth_mb": memory_mb[-1] - memory_mb[second],
        "load_ms_first": load_ms[second],
        "load_ms_last": load_ms[-1],
    }


def publish_random_base(root_uri: str, shape: str) -> Base:
    """A base of this shape with random weights, the newest of the store."""
    model_config, audio = SHAPES[shape]
    torch.manual_seed(0)
    base = Base.of(build_model(model_config, audio, len(VOCABULARY)).eval(), model_config, audio, VOCABULARY)
    publish_base(Store(root_uri), base, run_id="bench", metrics={})
    return base


def publish_random_adapter(store: Store, base: Base, user: str, config: AdapterConfig) -> None:
    """An adapter with weights that no other user has."""
    torch.manual_seed(int.from_bytes(user.encode()) % 2**63)
    adapter = build_adapter(base.model.encoding_dim(config.after_layer), config)
    publish_adapter(
        store,
        user,
        to_bytes(adapter.state_dict()),
        base_fingerprint=base.fingerprint,
        data_fingerprint="",
        adapter=adapter_to_plain(config),
        run_id="bench",
        error_before=None,
        error_after=None,
    )


if __name__ == "__main__":
    main()
