"""Encoding speech once with the frozen trunk, in large batches of like length across all users.

Shapes: B utterances of a batch, T encoding frames of an utterance, N of all utterances of a batch, D width of the
encodings.
"""

import itertools
import math
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from ds2ray import storage
from ds2ray.batching.batches import batches_by_seconds, prefetched
from ds2ray.config import LAST_LAYER, Precision
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.weights import Base
from ds2ray.padding import frame_mask
from ds2ray.sound.audio import read_waveform
from ds2ray.tables.manifest import Utterance
from ds2ray.training.adapters.memory import TYPICAL_ROW_S, auto_batch_s, memory_left
from ds2ray.training.adapters.progress import StageClock
from ds2ray.training.further import MadeOf
from ds2ray.training.precision import bfloat16_trunk, uses_bfloat16

T = TypeVar("T")

Speech = Utterance | MadeOf
"""What is encoded: an utterance, or a further recording of some."""

MIN_READ_THREADS, MAX_READ_THREADS = 4, 32
"""Audio files read at a time, see `read_threads`."""

READ_FILES = 512
"""Files of a read batch at most: the manifest's durations may be wrong, or missing."""

UNKNOWN_S = 1800.0
"""Seconds of audio that a read batch of unknown durations holds at most: 115 MB at 16 kHz."""

DEVICE_SHARE = 0.4
"""Share of the GPU memory left to this process that encodings may take; the rest is for training."""

TOO_LARGE = "does not fit the device's memory; cut it into shorter utterances, or raise adapt.gpus_per_trial"


def read_threads() -> int:
    """Audio files to read at a time: one for each CPU of this process, as decoding keeps a CPU busy.

    A few even on one CPU, as reading waits for storage, too, and not so many that storage is asked for too much. Trials
    share a node's CPUs: Ray gives torch as many threads as a trial has CPUs, which counts where it is less.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # only Linux has it
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(MIN_READ_THREADS, min(MAX_READ_THREADS, cpus, torch.get_num_threads()))


@dataclass(frozen=True)
class Encoded:
    """Encodings in the order of the utterances, [T, D] each, or why there are none.

    Attributes:
        padding: share of the computed frames that was padding.
    """

    encodings: list[Tensor | None]
    problems: dict[int, str]
    padding: float


@dataclass(frozen=True)
class Encoder:
    """The frozen trunk as it is used: where it runs, how precisely, and where encodings are kept.

    Args:
        after_layer: the trunk ends after this recurrent layer.
        max_padded_s: seconds of padded audio per call of the trunk; 0: what suits the device, see `auto_batch_s`.
        precision: of the trunk and of the encodings.
        max_duration_s: longer audio is a problem, whatever its manifest says …
        segment_long: … or is cut into segments where its transcript can be aligned (by `encoding_of_users`).
        stages: is told of `read`, `mel` and `encode`.
    """

    base: Base
    after_layer: int = LAST_LAYER
    max_padded_s: float = 0.0
    device: torch.device | str = "cpu"
    precision: Precision = Precision.auto
    max_duration_s: float = math.inf
    stages: StageClock | None = None
    segment_long: bool = False

    def encode(self, utterances: Sequence[Speech]) -> Encoded:
        """Read and encode utterances.

        An utterance that cannot be read, does not fit the device's memory or has no finite encoding is a problem in
        the result, and raises nothing.
        """
        return drained(self.encoding(utterances))

    def encoding(self, *groups: Sequence[Speech], room: float = 1.0) -> Generator[int, None, Encoded]:
        """As `encode`, of all groups' utterances; yields the number of utterances done, after each call of the trunk.

        On a CPU no call has utterances of two groups, so that the encodings of a group do not depend on the others:
        sums are rounded otherwise in batches of another shape. A GPU, which gains most from large calls, gets them.

        Args:
            room: share of a GPU's room for encodings that these may take; others are to follow.
        """
        clock = self.stages or StageClock()
        utterances = [utterance for group in groups for utterance in group]
        batch_s = self.batch_s(max([TYPICAL_ROW_S, *(u.duration_s or 0.0 for u in utterances)]))
        model = self.base.model.to(self.device).eval()
        half = uses_bfloat16(self.precision, self.device)
        trunk = _Trunk(
            bfloat16_trunk(model) if half else model,
            self.after_layer,
            torch.device(self.device),
            self._storage_device(utterances, room),
            torch.bfloat16 if half else torch.float32,
            clock,
        )
        encodings: list[Tensor | None] = [None] * len(utterances)
        problems: dict[int, str] = {}
        computed = valid = done = 0
        with ThreadPoolExecutor(read_threads()) as readers:
            apart = groups if torch.device(self.device).type == "cpu" else [utterances]
            loaded = self._loaded(self._read_batches(apart, batch_s), utterances, readers)
            while True:
                with clock("read"):
                    batch = next(loaded, None)
                if batch is None:
                    break
                problems.update((index, result) for index, result in batch if isinstance(result, str))
                waveforms = [(index, result) for index, result in batch if not isinstance(result, str)]
                # once more by their true lengths: a manifest may be wrong about them
                lengths_s = [len(waveform) / self.base.audio.sample_rate_hz for _, waveform in waveforms]
                for places in batches_by_seconds(lengths_s, batch_s):
                    tensors = [torch.from_numpy(np.ascontiguousarray(waveforms[place][1])) for place in places]
                    rows, padded_frames = trunk.encode(tensors)
                    computed, valid = computed + padded_frames, valid + sum(len(row) for row in rows if row is not None)
                    for place, row in zip(places, rows, strict=True):
                        encodings[waveforms[place][0]] = row
                        if row is None:
                            problems[waveforms[place][0]] = TOO_LARGE
                    done += len(places)
                    yield done
                done += len(batch) - len(waveforms)
        for index in _not_finite(encodings):
            encodings[index] = None
            problems[index] = "its encoding is not finite"
        return Encoded(encodings, problems, 1 - valid / computed if computed else 0.0)

    def batch_s(self, row_s: float = TYPICAL_ROW_S) -> float:
        """Seconds of padded audio per call of the trunk, in rows of `row_s` seconds."""
        return self.max_padded_s or auto_batch_s(
            self.base.model.shape, self.after_layer, torch.device(self.device), row_s
        )

    def _loaded(
        self, batches: Iterable[list[int]], utterances: Sequence[Speech], readers: ThreadPoolExecutor
    ) -> Iterator[list[tuple[int, np.ndarray | str]]]:
        """Batches of waveforms, or why there is none, by utterance; the next is read while one is computed."""

        def read(index: int) -> np.ndarray | str:
            speech = utterances[index]
            found = storage.asked(
                speech.audio if isinstance(speech, Utterance) and isinstance(speech.audio, str) else "",
                lambda: _waveform(speech, self.base.audio.sample_rate_hz, self.max_duration_s),
            )
            return found.reason if isinstance(found, storage.AddressFault) else found

        def load(indices: list[int]) -> list[tuple[int, np.ndarray | str]]:
            return list(zip(indices, readers.map(read, indices), strict=True))

        return prefetched(batches, load)

    def _read_batches(self, groups: Iterable[Sequence[Speech]], batch_s: float) -> Iterator[list[int]]:
        """Batches of utterances to read, each of one group; they are numbered through."""
        first = 0
        for group in groups:
            for batch in self._read_batches_of(group, batch_s):
                yield [first + index for index in batch]
            first += len(group)

    def _read_batches_of(self, utterances: Sequence[Speech], batch_s: float) -> Iterator[list[int]]:
        """Batches so small that their waveforms fit memory even where durations are unknown."""
        known = [index for index, utterance in enumerate(utterances) if utterance.duration_s]
        for places in batches_by_seconds([utterances[index].duration_s or 0.0 for index in known], batch_s):
            for start in range(0, len(places), READ_FILES):
                yield [known[place] for place in places[start : start + READ_FILES]]
        # an utterance of unknown duration may last as long as is allowed; once read, all are grouped by true duration
        size = max(read_threads(), int(min(READ_FILES, UNKNOWN_S / self.max_duration_s)))
        unknown = [index for index, utterance in enumerate(utterances) if not utterance.duration_s]
        for start in range(0, len(unknown), size):
            yield unknown[start : start + size]

    def _storage_device(self, utterances: Sequence[Speech], room: float = 1.0) -> torch.device:
        """The device itself where all encodings fit, else host memory."""
        device = torch.device(self.device)
        if device.type != "cuda":
            return device
        seconds = sum(utterance.duration_s or self.max_duration_s for utterance in utterances)
        frames = seconds / self.base.model.shape.frame_s
        bytes_each = 2 if uses_bfloat16(self.precision, device) else 4
        size_bytes = frames * self.base.model.encoding_dim(self.after_layer) * bytes_each
        return device if size_bytes < room * DEVICE_SHARE * memory_left(device) else torch.device("cpu")


@dataclass(frozen=True)
class _Trunk:
    """The trunk on its device; encodings are kept on `keep_on` as `dtype`."""

    model: AcousticModel
    after_layer: int
    device: torch.device
    keep_on: torch.device
    dtype: torch.dtype
    clock: StageClock

    def encode(self, waveforms: Sequence[Tensor]) -> tuple[Sequence[Tensor | None], int]:
        """Waveforms float32 [S] → encodings [T, D], and the padded frames that were computed.

        Where the device has too little memory the batch is halved, down to one utterance; None for one that is too
        large by itself.
        """
        try:
            return self._encode_batch(waveforms)
        except torch.OutOfMemoryError:
            if len(waveforms) == 1:
                return [None], 0
        half = len(waveforms) // 2
        first, first_frames = self.encode(waveforms[:half])
        second, second_frames = self.encode(waveforms[half:])
        return [*first, *second], first_frames + second_frames

    @torch.no_grad()
    def _encode_batch(self, waveforms: Sequence[Tensor]) -> tuple[list[Tensor], int]:
        with self.clock("mel"):
            num_samples = torch.tensor([len(waveform) for waveform in waveforms], device=self.device)
            padded = torch.nn.utils.rnn.pad_sequence(list(waveforms), batch_first=True).to(self.device)
            features, feature_lengths = self.model.features(padded, num_samples)
        with self.clock("encode"):
            encodings, lengths = self.model.trunk(features, feature_lengths, self.after_layer)
            # only frames of speech are kept, in one piece, so that the padded batch can be freed
            flat = encodings[frame_mask(lengths, encodings.shape[1])].to(self.keep_on, self.dtype)
            return list(flat.split(lengths.tolist())), encodings.shape[0] * encodings.shape[1]


def _waveform(speech: Speech, sample_rate_hz: int, max_duration_s: float) -> np.ndarray:
    """The waveform, float32 [num_samples]; raises what `read_waveform` does."""
    if isinstance(speech, MadeOf):
        return speech.read(sample_rate_hz, max_duration_s)
    return read_waveform(speech.audio, sample_rate_hz, max_duration_s)


def drained(steps: Generator[Any, None, T]) -> T:
    """The return value of a generator; the values that it yields are dropped."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast(T, end.value)


def _not_finite(encodings: Sequence[Tensor | None]) -> Iterator[int]:
    """Indices of the encodings that hold a value that is not finite."""
    present = [(index, row) for index, row in enumerate(encodings) if row is not None]
    if not present:
        return iter(())
    # a sum is not finite if any of its parts is not; one transfer for all of them
    finite = torch.stack([row.sum(dtype=torch.float64).isfinite() for _, row in present]).tolist()
    return itertools.compress((index for index, _ in present), (not ok for ok in finite))
