"""Training and validation on speech in shards: each row group is fetched once in an epoch, and few are in memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from base_training import assert_equal_weights, make_task, train
from shards import pack
from toy_speech import AUDIO, VOCABULARY, make_utterances

from ds2ray import storage
from ds2ray.batching.batches import SpeechDataset
from ds2ray.batching.epoch_plan import Batching, epoch_course
from ds2ray.config import DataConfig, TextConfig, TrainConfig
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.packs import files, references
from ds2ray.packs.references import GROUP_MB, WINDOW_GROUPS, RowGroups, read_packed_manifest, row_groups_of
from ds2ray.shapes.architectures import shape_of
from ds2ray.tables.manifest import Utterance
from ds2ray.training.base.loading import Loader
from ds2ray.training.base.reports import EpochReport
from ds2ray.training.base.sources import load_training_data
from ds2ray.training.base.validation import Validator, validation_batches

WINDOW = 2  # row groups
CACHE_MB = 2.0 * WINDOW * GROUP_MB


class AtOnce:
    """A pool of threads that does everything in the caller's own, so that the order of reading is the same always."""

    def __init__(self, max_workers: int = 1) -> None:
        self.max_workers = max_workers

    def __enter__(self) -> "AtOnce":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def shutdown(self, **options: Any) -> None:
        pass

    def map(self, function: Callable[..., Any], items: Iterable[Any]) -> Iterator[Any]:
        return map(function, items)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The row groups that are fetched, in order; two windows of two groups are kept."""
    requests: list[tuple[str, int]] = []

    def read_shard(uri: str, row_groups: list[int]) -> Iterator[Utterance]:
        requests.extend((uri, group) for group in row_groups)
        return files.read_shard(uri, row_groups)

    monkeypatch.setattr(files, "_ROW_GROUP_BYTES", 40_000)  # two or three toy utterances
    monkeypatch.setattr(references, "read_shard", read_shard)
    monkeypatch.setattr(references, "_CACHE", RowGroups(2 * WINDOW))
    for module in ("loop", "validation"):
        monkeypatch.setattr(f"ds2ray.training.base.{module}.WINDOW_GROUPS", WINDOW)
    return requests


@pytest.fixture
def in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads read nothing out of order."""
    monkeypatch.setattr("ds2ray.training.base.loading.ThreadPoolExecutor", AtOnce)
    monkeypatch.setattr("ds2ray.batching.batches.ThreadPoolExecutor", AtOnce)


def packed(folder: str, utterances: Sequence[Utterance]) -> list[Utterance]:
    manifest = read_packed_manifest(pack(folder, utterances))
    assert manifest is not None
    return list(manifest.utterances)


def all_groups(utterances: Sequence[Utterance]) -> set[tuple[str, int]]:
    places = (str(utterance.audio).rpartition("/")[0].rpartition("#") for utterance in utterances)
    return {(uri, int(group)) for uri, _, group in places}


def test_each_row_group_is_fetched_once_in_an_epoch(
    tmp_path: Path, in_order: None, fetched: list[tuple[str, int]]
) -> None:
    task = make_task(tmp_path, num_train=24, num_valid=1, num_epochs=2, batch_s=3.0, shard_cache_mb=CACHE_MB)
    task = replace(task, train_utterances=packed(str(tmp_path / "packed"), task.train_utterances))
    groups = all_groups(task.train_utterances)
    assert len(groups) > 4 * WINDOW
    epochs: list[list[tuple[str, int]]] = []

    def report(epoch: EpochReport) -> None:
        epochs.append(fetched[:])
        fetched.clear()
        references._CACHE.groups.clear()

    train(task, report)
    assert [sorted(epoch) for epoch in epochs] == [sorted(groups)] * 2
    assert epochs[0] != epochs[1]
    assert references._CACHE.max_groups == 2 * WINDOW


def test_a_row_group_is_fetched_by_one_of_two_ranks(
    tmp_path: Path, in_order: None, fetched: list[tuple[str, int]]
) -> None:
    utterances = packed(str(tmp_path / "packed"), make_utterances(tmp_path, 24, seed=1))
    dataset = SpeechDataset(utterances, VOCABULARY, AUDIO)
    numbers = row_groups_of(utterance.audio for utterance in utterances)
    batching = Batching(batch_size=2, window_groups=WINDOW, own_groups=True)
    course = epoch_course(np.array(dataset.durations_s()), batching, 0, [], 2, numbers)
    by_rank = []
    for rank in range(2):
        references._CACHE.groups.clear()
        fetched.clear()
        with Loader(dataset, 1) as loader:
            heard = sum(loaded.sums().utterances for loaded in loader.rest_of_epoch(course, rank))
        by_rank.append(fetched[:])
        assert heard == sum(len(batch) for step in range(len(course.plan)) for batch in course.plan.batches(step, rank))
    assert [len(set(groups)) for groups in by_rank] == list(map(len, by_rank))  # and once
    assert set(by_rank[0]) | set(by_rank[1]) == all_groups(utterances)
    left_over = len(all_groups(utterances)) % (2 * WINDOW)  # too few to have some for each
    assert len(set(by_rank[0]) & set(by_rank[1])) <= left_over < 2 * WINDOW


class TestValidation:
    @pytest.mark.parametrize("settings", [{"batch_size": 3}, {"batch_s": 2.0}])
    def test_each_row_group_is_fetched_once(
        self, settings: dict[str, Any], tmp_path: Path, in_order: None, fetched: list[tuple[str, int]]
    ) -> None:
        task = make_task(tmp_path, num_train=1, num_valid=24, **settings)
        in_shards = replace(task, valid_utterances=packed(str(tmp_path / "packed"), task.valid_utterances))
        model = DeepSpeech2.from_config(task.model, task.audio.num_mels, len(task.vocabulary))
        with Validator(task, torch.device("cpu")) as files, Validator(in_shards, torch.device("cpu")) as shards:
            assert len(shards.windows) > 4
            assert shards(model) == pytest.approx(files(model), rel=1e-5)
            assert sorted(fetched) == sorted(all_groups(in_shards.valid_utterances))

    @pytest.mark.parametrize("settings", [{"batch_size": 3}, {"batch_s": 20.0}])
    @pytest.mark.parametrize("groups", [None, np.arange(100) * 7 // 10])
    def test_ranks_share_the_same_batches(self, settings: dict[str, Any], groups: np.ndarray | None) -> None:
        durations_s = [1 + place * 37 % 100 / 10 for place in range(100)]

        def batches(rank: int, world_size: int) -> list[list[int]]:
            return list(chain(*validation_batches(durations_s, TrainConfig(**settings), groups, rank, world_size)))

        alone = batches(0, 1)
        assert sorted(chain(*alone)) == list(range(100))
        for world_size in (2, 3, 5):
            shares = [batches(rank, world_size) for rank in range(world_size)]
            assert sorted(chain(*shares)) == sorted(alone)
            assert max(map(len, shares)) - min(map(len, shares)) <= 1

    def test_of_many_windows_a_rank_reads_its_own(self) -> None:
        groups = np.arange(2000) // 4 + 1  # 16 windows
        shares = [
            {
                groups[index]
                for index in chain(*chain(*validation_batches([1.0] * 2000, TrainConfig(), groups, rank, 8)))
            }
            for rank in range(8)
        ]
        assert max(map(len, shares)) <= 3 * WINDOW_GROUPS

    def test_without_speech_there_are_no_batches(self) -> None:
        assert validation_batches([], TrainConfig(), np.zeros(0, np.int64), 0, 1) == []


def test_a_packed_corpus_in_a_bucket_trains_what_it_trains_on_this_machine(
    s3_root: str, tmp_path: Path, fetched: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "_CACHE", RowGroups(100))
    task = make_task(tmp_path, num_train=24, num_epochs=1, batch_s=3.0)
    bases = []
    for root in (s3_root, str(tmp_path / "packed")):
        config = replace(task.train, manifest=pack(root, task.train_utterances), valid_fraction=0.2)
        data = load_training_data(config, DataConfig(), TextConfig(), shape_of(task.model, task.audio), task.vocabulary)
        assert all(str(utterance.audio).startswith(root) for utterance in [*data.train, *data.valid])
        checkpoints = f"{root}/checkpoints"
        base, _ = train(
            replace(task, train_utterances=data.train, valid_utterances=data.valid, checkpoint_uri=checkpoints)
        )
        assert sorted(fetched) == sorted(all_groups([*data.train, *data.valid]))
        fetched.clear()
        assert len(storage.list_objects(checkpoints)) == 2
        bases.append(base)
    assert_equal_weights(*bases)
