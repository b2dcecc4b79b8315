"""Audio in shards by reference: what is read of them, and how often."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from shards import pack
from toy_speech import AUDIO, SAMPLE_RATE_HZ, VOCABULARY, make_utterances

from ds2ray.batching.batches import SpeechDataset
from ds2ray.config import TrainConfig
from ds2ray.errors import InputError
from ds2ray.packs import files, references
from ds2ray.packs.references import (
    GROUP_MB,
    KEPT_GROUPS,
    RowGroups,
    is_packed,
    keep_mb,
    read_ahead,
    read_packed,
    read_packed_manifest,
    row_groups_of,
)
from ds2ray.sound.audio import read_waveform
from ds2ray.tables.manifest import Utterance, write_manifest


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_ROW_GROUP_BYTES", 40_000)  # two or three toy utterances


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The row groups that are fetched, in order, by an empty cache."""
    fetched: list[int] = []

    def read_shard(uri: str, row_groups: list[int]) -> Iterator[Utterance]:
        fetched.extend(row_groups)
        return files.read_shard(uri, row_groups)

    monkeypatch.setattr(references, "read_shard", read_shard)
    monkeypatch.setattr(references, "_CACHE", RowGroups(3))
    return fetched  # type: ignore[return-value]


def test_a_packed_corpus_is_read_by_reference(tmp_path: Path, small_groups: None, requests: list[int]) -> None:
    utterances = make_utterances(tmp_path, 14)
    manifest = read_packed_manifest(pack(tmp_path, utterances))
    assert manifest is not None
    assert requests == []
    by_id = {u.utterance_id: u for u in utterances}
    assert {u.utterance_id for u in manifest.utterances} == set(by_id)
    groups = row_groups_of(u.audio for u in manifest.utterances)
    assert groups is not None
    assert 4 <= max(groups) + 1 <= 10
    for u in manifest.utterances:
        original = by_id[u.utterance_id]
        assert is_packed(u.audio)
        assert (u.duration_s, u.transcript) == (original.duration_s, original.transcript)
        assert read_packed(str(u.audio)) == Path(str(original.audio)).read_bytes()
        waveform = read_waveform(u.audio, SAMPLE_RATE_HZ)
        assert (waveform == read_waveform(original.audio, SAMPLE_RATE_HZ)).all()
    assert len(requests) == max(groups) + 1  # in their order each is fetched once
    dataset = SpeechDataset(manifest.utterances, VOCABULARY, AUDIO)
    assert dataset[3].utterance_id == manifest.utterances[3].utterance_id


def test_what_is_read_ahead_is_there(tmp_path: Path, small_groups: None, requests: list[int]) -> None:
    manifest = read_packed_manifest(pack(tmp_path, make_utterances(tmp_path, 7), num_shards=1))
    assert manifest is not None
    audio = [u.audio for u in manifest.utterances]
    read_ahead([*audio[:1], "file.wav", b"bytes"])
    assert requests == [0]
    assert read_packed(str(audio[0]))
    assert requests == [0]


def test_no_more_row_groups_stay_than_there_is_room_for(
    tmp_path: Path, small_groups: None, requests: list[int]
) -> None:
    manifest = read_packed_manifest(pack(tmp_path, make_utterances(tmp_path, 14), num_shards=1))
    assert manifest is not None
    last = str(manifest.utterances[-1].audio)
    for u in manifest.utterances:
        read_packed(str(u.audio))
    read_packed(last)
    num_groups = len(requests)
    assert num_groups > 4
    assert len(references._CACHE.groups) == 3
    read_packed(str(manifest.utterances[0].audio))
    assert requests == [*range(num_groups), 0]


def test_threads_share_a_request(tmp_path: Path, requests: list[int]) -> None:
    manifest = read_packed_manifest(pack(tmp_path, make_utterances(tmp_path, 6), num_shards=1))
    assert manifest is not None
    start = threading.Barrier(6)

    def read(u: Utterance) -> bytes:
        start.wait()
        return read_packed(str(u.audio))

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(read, manifest.utterances))) == 6
    assert requests == [0]


def test_what_is_missing_is_named_and_asked_for_again(tmp_path: Path, requests: list[int]) -> None:
    uri = pack(tmp_path, make_utterances(tmp_path, 2), num_shards=1)
    manifest = read_packed_manifest(uri)
    assert manifest is not None
    audio = str(manifest.utterances[0].audio)
    shard = tmp_path / "shards" / "0.parquet"
    content = shard.read_bytes()
    shard.unlink()
    with pytest.raises(FileNotFoundError):
        read_packed(audio)
    shard.write_bytes(content)
    assert read_packed(audio)
    with pytest.raises(InputError, match=r"row group 0 of .*0\.parquet has no row 99"):
        read_packed(f"{audio.rpartition('/')[0]}/99")


def test_other_tables_are_left_to_others(tmp_path: Path) -> None:
    utterances = make_utterances(tmp_path, 2)
    for name in ("plain.parquet", "plain.csv"):
        write_manifest(str(tmp_path / name), utterances)
        assert read_packed_manifest(str(tmp_path / name)) is None
    (tmp_path / "broken.parquet").write_bytes(b"broken")
    assert read_packed_manifest(str(tmp_path / "broken.parquet")) is None
    assert row_groups_of(["a.parquet#1/2", "b.wav"]) is None
    assert not is_packed("take #1/2.wav")


def test_less_memory_keeps_those_that_were_last_asked_for(
    tmp_path: Path, small_groups: None, requests: list[int]
) -> None:
    manifest = read_packed_manifest(pack(tmp_path, make_utterances(tmp_path, 12)))
    assert manifest is not None
    for utterance in manifest.utterances:
        read_packed(str(utterance.audio))
    last = list(references._CACHE.groups)[-1]
    keep_mb(GROUP_MB)
    assert list(references._CACHE.groups) == [last]
    keep_mb(0.5)
    assert references._CACHE.max_groups == 1
    keep_mb(TrainConfig().shard_cache_mb)
    assert references._CACHE.max_groups == KEPT_GROUPS
