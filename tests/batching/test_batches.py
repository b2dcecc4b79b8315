"""Examples, batches, and which rank sees what."""

import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_speech import AUDIO, VOCABULARY, make_utterances, speak

from ds2ray.batching.batches import (
    FEW_ROWS,
    SpeechDataset,
    batches_by_seconds,
    collate,
    epoch_batches,
    prefetched,
    spread_order,
)

DURATIONS = st.lists(st.floats(0.1, 30), min_size=1, max_size=120)


@given(DURATIONS, st.integers(1, 9), st.integers(1, 5), st.integers(0, 99), st.integers(0, 99))
def test_an_epoch_is_every_utterance_once_and_no_rank_is_idle(
    durations_s: list[float], batch_size: int, world_size: int, seed: int, epoch: int
) -> None:
    batches = epoch_batches(durations_s, batch_size, world_size, seed, epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(durations_s)))
    assert batches == epoch_batches(durations_s, batch_size, world_size, seed, epoch)
    for batch in batches:
        assert len(batch) < batch_size * world_size + world_size
        if len(durations_s) >= world_size:
            parts = [batch[rank::world_size] for rank in range(world_size)]
            assert all(parts)
            assert sorted(index for part in parts for index in part) == sorted(batch)


@given(st.integers(0, 50), st.integers(1, 3))
def test_every_epoch_and_every_seed_has_its_own_batches(seed: int, world_size: int) -> None:
    durations_s = [1 + 0.02 * index for index in range(60)]
    orders = [epoch_batches(durations_s, 4, world_size, seed, epoch) for epoch in range(4)]
    orders.append(epoch_batches(durations_s, 4, world_size, seed + 1, 0))
    assert len({str(order) for order in orders}) == 5
    sets = [{tuple(sorted(batch)) for batch in order} for order in orders]
    assert all(first != second for first, second in pairwise(sets))


def test_utterances_of_like_duration_share_a_batch() -> None:
    durations_s = [float(1 + index % 10) for index in range(200)]
    for batch in epoch_batches(durations_s, 10, 2, seed=0, epoch=3):
        lengths = [durations_s[index] for index in batch]
        assert max(lengths) <= min(lengths) * 1.05 / 0.95 + 1


@given(DURATIONS, st.floats(0.5, 100))
def test_batches_by_seconds_fill_up_to_the_limit(durations_s: list[float], max_padded_s: float) -> None:
    batches = batches_by_seconds(durations_s, max_padded_s)
    order = [index for batch in batches for index in batch]
    assert sorted(order) == list(range(len(durations_s)))
    assert [durations_s[index] for index in order] == sorted(durations_s, reverse=True)
    for batch in batches:
        padded_s = len(batch) * max(durations_s[index] for index in batch)
        assert padded_s <= max_padded_s or len(batch) == 1
        padding_s = padded_s - sum(durations_s[index] for index in batch)
        assert len(batch) <= FEW_ROWS or padding_s <= 0.08 * padded_s + 1e-9
    for batch, following in pairwise(batches):
        assert (len(batch) + 1) * durations_s[batch[0]] > max_padded_s or len(batch) >= FEW_ROWS
        assert durations_s[following[0]] <= durations_s[batch[-1]]


@given(st.lists(st.integers(), max_size=20))
def test_prefetched_keeps_the_order(items: list[int]) -> None:
    assert list(prefetched(items, lambda item: item * 2)) == [item * 2 for item in items]


def test_prefetched_passes_errors_on_where_they_belong() -> None:
    def load(item: int) -> int:
        if item == 2:
            raise ValueError("two")
        return item

    loaded = prefetched(range(4), load)
    assert [next(loaded), next(loaded)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(loaded)


def test_prefetched_loads_one_ahead_and_no_further() -> None:
    started: list[int] = []
    second = threading.Event()

    def load(item: int) -> int:
        started.append(item)
        if item == 1:
            second.set()
        return item

    loaded: Iterator[int] = prefetched(range(5), load)
    assert next(loaded) == 0
    assert second.wait(10)
    assert started == [0, 1]


def test_collate_pads_with_silence_and_blanks(tmp_path: Path) -> None:
    utterances = make_utterances(tmp_path, 5)
    dataset = SpeechDataset(utterances, VOCABULARY, AUDIO)
    examples = [dataset[index] for index in range(5)]
    batch = collate(examples)
    assert len(batch) == 5
    assert batch.utterance_ids == [u.utterance_id for u in utterances]
    assert batch.transcripts == [u.transcript for u in utterances]
    for row, example in enumerate(examples):
        samples, tokens = int(batch.num_samples[row]), int(batch.num_tokens[row])
        assert torch.equal(batch.waveforms[row, :samples], example.waveform)
        assert batch.waveforms[row, samples:].abs().sum() == 0
        assert batch.tokens[row, :tokens].tolist() == VOCABULARY.encode(example.transcript)
        assert batch.tokens[row, tokens:].sum() == 0
    assert batch.waveforms.shape[1] == int(batch.num_samples.max())


def test_a_data_set_reads_what_was_written(tmp_path: Path) -> None:
    utterance = make_utterances(tmp_path, 1, suffix="flac")[0]
    dataset = SpeechDataset([utterance], VOCABULARY, AUDIO)
    assert len(dataset) == 1
    assert dataset.durations_s() == [utterance.duration_s]
    torch.testing.assert_close(dataset[0].waveform, torch.from_numpy(speak(utterance.transcript)), atol=1e-4, rtol=0)


def test_speeds_are_drawn_by_utterance_and_epoch(tmp_path: Path) -> None:
    utterances = make_utterances(tmp_path, 8)
    dataset = SpeechDataset(utterances, VOCABULARY, AUDIO, speeds=(0.9, 1.0, 1.1), seed=3)

    def lengths(epoch: int, order: list[int]) -> dict[int, int]:
        dataset.epoch = epoch
        return {index: len(dataset[index].waveform) for index in order}

    own = list(range(8))
    first = lengths(0, own)
    assert lengths(0, own[::-1]) == first  # whatever was read before
    assert any(lengths(epoch, own) != first for epoch in (1, 2))
    for index, length in first.items():
        duration_s = utterances[index].duration_s
        assert duration_s is not None
        assert min(abs(length - duration_s * 16000 / speed) for speed in (0.9, 1.0, 1.1)) <= 1
    assert len({round((utterances[i].duration_s or 0) * 16000 / first[i], 1) for i in own}) > 1
    for epoch in (0, 1):  # batches are planned with what they will hold
        expected_s = [length / 16000 for length in lengths(epoch, own).values()]
        assert dataset.durations_s() == pytest.approx(expected_s, abs=1e-3)


@given(count=st.integers(1, 200), first=st.integers(0, 10_000))
def test_a_spread_order_takes_each_once(count: int, first: int) -> None:
    assert sorted(spread_order(count, first)) == list(range(count))


def test_who_steps_together_has_like_lengths_whatever_each_ones_count() -> None:
    steps = range(60)
    shares = []
    for count in (20, 30, 60):
        ranks = [rank for first in range(0, 60, count) for rank in spread_order(count, first)]
        shares.append([(rank + 0.5) / count for rank in ranks])
    apart = [max(of_step) - min(of_step) for of_step in zip(*shares, strict=True)]
    assert sum(apart) / len(steps) < 0.08  # drawn at random it would be 0.5
    # short and long ones come evenly: any ten steps have about as many of each half
    assert all(3 <= sum(share < 0.5 for share in shares[2][start : start + 10]) <= 7 for start in range(50))
