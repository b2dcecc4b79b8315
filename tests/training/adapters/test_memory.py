"""A trial's share of a GPU is all the memory that it counts on."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from toy_gpu import GB, ToyGpu

from benchmarks.speech import random_base
from benchmarks.synthetic import VOCABULARY
from ds2ray.config import LAST_LAYER, AdaptConfig, Precision
from ds2ray.model.weights import Base
from ds2ray.tables.manifest import Utterance
from ds2ray.training.adapters.encode import DEVICE_SHARE, Encoder
from ds2ray.training.adapters.memory import (
    CPU_BATCH_S,
    MAX_BATCH_S,
    SAFETY,
    TRUNK_SHARE,
    memory_left,
)


def bytes_per_s(base: Base, after_layer: int) -> float:
    return base.model.shape.batch_bytes(2, 7.0, after_layer) / 14.0


@pytest.mark.parametrize(
    ("gpu", "left"),
    [
        (ToyGpu(), 80 * GB),
        (ToyGpu(fraction=0.25), 20 * GB),
        (ToyGpu(fraction=0.25, reserved=5 * GB, allocated=5 * GB, free=75 * GB), 15 * GB),
        (ToyGpu(fraction=0.25, free=8 * GB), 8 * GB),  # others have taken more than their share
        (ToyGpu(fraction=0.25, reserved=19 * GB, allocated=2 * GB, free=61 * GB), 18 * GB),  # kept from earlier
        (ToyGpu(fraction=0.25, reserved=21 * GB, allocated=21 * GB, free=59 * GB), 0),
    ],
)
@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_memory_left(monkeypatch: pytest.MonkeyPatch, gpu: ToyGpu, left: float, device: str) -> None:
    gpu.put_in(monkeypatch)
    assert memory_left(torch.device(device)) == pytest.approx(left)


def test_encodings_stay_on_the_gpu_where_this_process_may_take_so_much(
    monkeypatch: pytest.MonkeyPatch, fresh_base: Callable[[], Base]
) -> None:
    base = fresh_base()
    hour = Utterance("", "", "hour.wav", 3600.0, "", 0)
    size = 3600 / (2 * base.audio.hop_s) * base.model.encoding_dim() * 2

    def place(gpu: ToyGpu, precision: Precision = Precision.auto, copies: int = 1) -> str:
        gpu.put_in(monkeypatch)
        return Encoder(base, device="cuda", precision=precision)._storage_device([hour] * copies).type

    enough = ToyGpu(total=4.04 * size / DEVICE_SHARE, free=4.04 * size / DEVICE_SHARE, fraction=0.25)
    assert place(enough) == "cuda"
    assert place(enough, Precision.float32) == "cpu"
    assert place(enough, copies=2) == "cpu"
    assert place(replace(enough, fraction=0.2)) == "cpu"
    assert place(replace(enough, reserved=0.1 * size, allocated=0.1 * size)) == "cpu"
    assert Encoder(base)._storage_device([hour]).type == "cpu"


def test_a_call_of_the_trunk_takes_what_memory_allows(
    monkeypatch: pytest.MonkeyPatch, fresh_base: Callable[[], Base]
) -> None:
    base = fresh_base()

    def batch_s(fraction: float, wanted_s: float = 0.0) -> float:
        ToyGpu(fraction=fraction).put_in(monkeypatch)
        return Encoder(base, max_padded_s=wanted_s, device="cuda").batch_s()

    most, some = batch_s(1.0), batch_s(0.01)
    assert most == MAX_BATCH_S
    assert 60 < some < MAX_BATCH_S
    assert batch_s(0.005) == pytest.approx(some / 2)
    assert batch_s(0.00001) == CPU_BATCH_S
    assert batch_s(1.0, wanted_s=7.0) == 7.0
    assert some * SAFETY * bytes_per_s(base, LAST_LAYER) == pytest.approx(TRUNK_SHARE * 0.01 * 80 * GB)
    assert Encoder(base).batch_s() == CPU_BATCH_S
    assert Encoder(base, max_padded_s=AdaptConfig().encode_batch_s).batch_s() == CPU_BATCH_S


def test_the_memory_of_a_trunk_is_that_of_its_widest_place() -> None:
    base = random_base("ds2_small", VOCABULARY)
    # 50 frames a second of 32 channels with 40 places each, four times; a fresh model's first layer reads 32 × 20
    convolutions, first = 4 * 32 * 40, 4 * 32 * 20 + 3 * 512 + 2 * 512 + 2 * 1024
    further = 4 * 1024 + 3 * 512 + 2 * 512 + 2 * 1024
    assert bytes_per_s(base, 0) == pytest.approx(4 * 50 * convolutions)
    assert bytes_per_s(base, 1) == pytest.approx(4 * 50 * max(convolutions, first))
    assert bytes_per_s(base, LAST_LAYER) == pytest.approx(4 * 50 * further)
