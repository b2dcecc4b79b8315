"""Limits of a device: its measured peaks, the operations of a trunk, and the idle time of a GPU."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.model.weights import Base

REPEATS = 10


@dataclass(frozen=True)
class Limits:
    """Measured peaks: of a large matrix product (bfloat16 on GPUs, float32 on CPUs), and of copies to the device."""

    matmul_tflops: float
    copy_gb_per_s: float

    def share_of_matmul(self, flops: float, seconds: float) -> float:
        return flops / max(seconds, 1e-9) / (self.matmul_tflops * 1e12)

    def share_of_copy(self, size_bytes: float, seconds: float) -> float:
        return size_bytes / max(seconds, 1e-9) / (self.copy_gb_per_s * 1e9)


def measured_limits(device: str) -> Limits:
    """Measure the peaks of a device; on a CPU copies are those from memory to memory."""
    on_gpu = device == "cuda"
    width = 8192 if on_gpu else 512
    matrix = torch.randn(width, width, device=device, dtype=torch.bfloat16 if on_gpu else torch.float32)
    matmul_s = _fastest(lambda: matrix @ matrix, on_gpu)
    source = torch.empty(2**28 if on_gpu else 2**24, dtype=torch.uint8)
    if on_gpu:
        source = source.pin_memory()
    target = torch.empty_like(source, device=device)
    copy_s = _fastest(lambda: target.copy_(source, non_blocking=True), on_gpu)
    return Limits(2 * width**3 / matmul_s / 1e12, source.numel() / copy_s / 1e9)


def _fastest(work: Callable[[], object], on_gpu: bool) -> float:
    times = []
    for _ in range(REPEATS):
        started_s = time.perf_counter()
        work()
        if on_gpu:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started_s)
    return min(times)


def trunk_flops(base: Base, after_layer: int, speech_s: float) -> float:
    """Floating point operations that the trunk needs for so much speech, without padding."""
    model = base.model
    assert isinstance(model, DeepSpeech2)  # the only architecture whose layers are counted here
    frames_per_s = 1 / model.shape.frame_s
    # a convolution multiplies and adds each weight of a channel once per output, a recurrence each weight per frame
    height, per_frame = base.audio.num_mels, 0.0
    for conv in model.conv.convs:
        assert isinstance(conv, nn.Conv2d)
        height = (height + conv.stride[0] - 1) // conv.stride[0]
        per_frame += 2 * conv.weight.numel() * height
    for layer in list(model.rnn_layers)[: model.layer_index(after_layer)]:
        for module in layer.modules():
            if isinstance(module, nn.RNNBase):
                per_frame += 2 * sum(p.numel() for p in module.parameters() if p.dim() == 2)
    return per_frame * frames_per_s * speech_s


def idle_share(work: Callable[[], object]) -> float:
    """Share of the time in which no kernel and no copy ran on the GPU."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        started_s = time.perf_counter()
        work()
        torch.cuda.synchronize()
        seconds = time.perf_counter() - started_s
    events = profiler.events() or []
    spans = [(e.time_range.start, e.time_range.end) for e in events if e.device_type == DeviceType.CUDA]
    return 1 - busy_us(spans) / 1e6 / seconds


def busy_us(spans: list[tuple[float, float]]) -> float:
    """The length of the union of spans."""
    busy, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return busy
