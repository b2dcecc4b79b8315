"""Utterances to batches: examples, padding, and the choice of utterances that share a batch.

Shapes: B utterances of a batch, S samples of the longest, L tokens of the longest.
"""

import math
import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ds2ray.config import AudioConfig
from ds2ray.sound.audio import read_waveform
from ds2ray.sound.noise import NoiseFolder
from ds2ray.sound.resampling import change_speed
from ds2ray.tables.manifest import Utterance
from ds2ray.text import Vocabulary

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")

NOISE = 0.05
"""Sorting takes each duration up to this share longer or shorter, at random, so that neighbours differ by epoch."""


@dataclass(frozen=True)
class Example:
    """An utterance whose audio is decoded: waveform float32 [S], and the transcript's tokens int64 [L]."""

    utterance_id: str
    waveform: Tensor
    tokens: Tensor
    transcript: str
    user_id: str = ""


@dataclass(frozen=True)
class Batch:
    """A batch: examples padded to the longest."""

    utterance_ids: list[str]
    transcripts: list[str]
    waveforms: Tensor  # float32 [B, S], zero in padding
    num_samples: Tensor  # int64 [B]
    tokens: Tensor  # int64 [B, L], blank in padding
    num_tokens: Tensor  # int64 [B]
    user_ids: list[str]

    def __len__(self) -> int:
        return len(self.utterance_ids)

    def to(self, device: torch.device | str) -> "Batch":
        """A copy of the batch with its tensors on `device`."""
        return Batch(
            self.utterance_ids,
            self.transcripts,
            self.waveforms.to(device, non_blocking=True),
            self.num_samples.to(device, non_blocking=True),
            self.tokens.to(device, non_blocking=True),
            self.num_tokens.to(device, non_blocking=True),
            self.user_ids,
        )


class SpeechDataset(Dataset[Example]):
    """Utterances of a manifest as examples, decoded when they are asked for.

    Args:
        speeds: factors of speed perturbation; one is drawn per utterance and epoch.
        seed: of the draws of speed and of noise.
        noise: source of the noise that is mixed into the speech, drawn by utterance and epoch; None: no noise.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        vocabulary: Vocabulary,
        audio: AudioConfig,
        speeds: Sequence[float] = (1.0,),
        seed: int = 0,
        noise: NoiseFolder | None = None,
    ) -> None:
        self.utterances = list(utterances)
        self.vocabulary = vocabulary
        self.audio = audio
        self.speeds = tuple(speeds)
        self.seed = seed
        self.noise = noise
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.utterances)

    def __getitem__(self, index: int) -> Example:
        """Decode one utterance. Raises InputError (see `read_waveform`) for audio that cannot be used."""
        utterance = self.utterances[index]
        waveform = read_waveform(utterance.audio, self.audio.sample_rate_hz)
        speed = self._speed(utterance)
        if speed != 1.0:
            waveform = change_speed(waveform, speed)
        if self.noise is not None:
            waveform = self.noise.mix(
                waveform, random.Random(f"{self.seed}/{self.epoch}/{utterance.utterance_id}/noise")
            )
        tokens = torch.tensor(self.vocabulary.encode_known(utterance.transcript), dtype=torch.int64)
        return Example(
            utterance.utterance_id, torch.from_numpy(waveform), tokens, utterance.transcript, utterance.user_id
        )

    def durations_s(self) -> list[float]:
        """Seconds of audio of each utterance, as the validated manifest gives them, at this epoch's speed."""
        if self.speeds == (1.0,):
            return [utterance.duration_s or 0.0 for utterance in self.utterances]
        return [(utterance.duration_s or 0.0) / self._speed(utterance) for utterance in self.utterances]

    def _speed(self, utterance: Utterance) -> float:
        return random.Random(f"{self.seed}/{self.epoch}/{utterance.utterance_id}").choice(self.speeds)


def collate(examples: Sequence[Example]) -> Batch:
    """Pad examples into one batch."""
    num_samples = torch.tensor([len(example.waveform) for example in examples])
    num_tokens = torch.tensor([len(example.tokens) for example in examples])
    waveforms = torch.zeros(len(examples), int(num_samples.max()))
    tokens = torch.zeros(len(examples), max(1, int(num_tokens.max())), dtype=torch.int64)
    for row, example in enumerate(examples):
        waveforms[row, : len(example.waveform)] = example.waveform
        tokens[row, : len(example.tokens)] = example.tokens
    ids, transcripts = [e.utterance_id for e in examples], [e.transcript for e in examples]
    return Batch(ids, transcripts, waveforms, num_samples, tokens, num_tokens, [e.user_id for e in examples])


def epoch_batches(
    durations_s: Sequence[float], batch_size: int, world_size: int, seed: int, epoch: int, in_order: bool = False
) -> list[list[int]]:
    """The batches of an epoch, each for one step of all ranks together.

    Utterances of like duration share a batch; which ones, and the order of the batches, change with every epoch.
    Each utterance stands in exactly one batch. Every batch has at least `world_size` utterances, so that no rank is
    without work (fewer only where the whole data set is smaller).

    Args:
        in_order: sort batches from short utterances to long ones, without the random order.

    Returns:
        utterance indices per step; rank r takes `[r::world_size]` of each.
    """
    draws = random.Random(f"{seed}/{epoch}")
    noisy = durations_s
    if not in_order:
        noisy = [duration * draws.uniform(1 - NOISE, 1 + NOISE) for duration in durations_s]
    order = sorted(range(len(durations_s)), key=lambda index: noisy[index])
    size = batch_size * world_size
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    if len(batches) > 1 and len(batches[-1]) < world_size:
        rest = batches.pop()
        batches[-1] += rest
    if not in_order:
        draws.shuffle(batches)
    return batches


GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


def spread_order(count: int, first: int) -> list[int]:
    """An order of `count` things of rising length, in which lengths at a step hardly depend on how many there are.

    Step s takes the thing nearest to the share s · φ mod 1 of all, φ the golden ratio, so that short and long ones are
    spread evenly over any stretch of steps, and who steps together has like lengths, whatever each one's count.

    Args:
        first: the number of the first step, counted from the start of the training.
    """
    left = list(range(count))
    order = []
    for step in range(first, first + count):
        wanted = step * GOLDEN_RATIO % 1 * count - 0.5
        place = bisect_left(left, wanted)
        if place == len(left) or (place > 0 and wanted - left[place - 1] <= left[place] - wanted):
            place -= 1
        order.append(left.pop(place))
    return order


MAX_PADDING = 0.08
"""Share of padding at which a batch is closed once it has `FEW_ROWS` rows: fewer rows leave the processor idle."""

FEW_ROWS = 8


def batches_by_seconds(durations_s: Sequence[float], max_padded_s: float) -> list[list[int]]:
    """Group utterances of like duration, longest first, so that a padded batch holds at most `max_padded_s` seconds.

    An utterance longer than that has a batch of its own.
    """
    batches: list[list[int]] = []
    longest_s = speech_s = 0.0
    for index in sorted(range(len(durations_s)), key=lambda index: -durations_s[index]):
        rows = len(batches[-1]) if batches else 0
        padded_s = (rows + 1) * longest_s
        padding_s = padded_s - speech_s - durations_s[index]
        if rows and padded_s <= max_padded_s and (rows < FEW_ROWS or padding_s <= MAX_PADDING * padded_s):
            batches[-1].append(index)
        else:
            batches.append([index])
            longest_s, speech_s = durations_s[index], 0.0
        speech_s += durations_s[index]
    return batches


def prefetched(items: Iterable[Item], load: Callable[[Item], Loaded]) -> Iterator[Loaded]:
    """The loaded items in their order; a thread loads each while the caller computes on the one before."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending = None
        for item in items:
            following = pool.submit(load, item)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The items, each made in a thread while the one before is used."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending: Future[Item | object] = pool.submit(next, iterator, end)
        while (item := pending.result()) is not end:
            pending = pool.submit(next, iterator, end)
            yield cast(Item, item)
