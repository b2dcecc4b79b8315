"""A trial's share of a GPU is all the memory that it counts on."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from toy_gpu import GB, ToyGpu

from ds2ray.config import Precision
from ds2ray.data.manifest import Utterance
from ds2ray.model.weights import Base
from ds2ray.training.encode import DEVICE_SHARE, Encoder
from ds2ray.training.memory import memory_left


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
