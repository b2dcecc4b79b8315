"""Encoding: little padding, whatever the manifest says, and the precision that is asked for."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import soundfile
import torch
from toy_speech import make_utterances

from ds2ray.config import Precision
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.model.weights import Base
from ds2ray.tables.manifest import Utterance
from ds2ray.training.adapters import encode
from ds2ray.training.adapters.encode import TOO_LARGE, Encoder
from ds2ray.training.adapters.progress import StageClock


@pytest.fixture(scope="module")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    return make_utterances(tmp_path_factory.mktemp("speech"), 80, seed=3)


def encodings(encoder: Encoder, utterances: list[Utterance]) -> list[torch.Tensor]:
    encoded = encoder.encode(utterances)
    assert encoded.problems == {}
    return [rows for rows in encoded.encodings if rows is not None]


def test_a_batch_changes_no_encoding_and_holds_little_padding(base: Base, utterances: list[Utterance]) -> None:
    encoder = Encoder(base, max_padded_s=10)
    assert encoder.encode(utterances).padding < 0.1
    together = encodings(encoder, utterances)
    assert len(together) == len(utterances)
    for number in (0, 17, 79):
        (alone,) = encodings(Encoder(base), [utterances[number]])
        torch.testing.assert_close(together[number], alone, atol=1e-5, rtol=1e-4)


def test_batches_go_by_what_audio_really_lasts(base: Base, utterances: list[Utterance]) -> None:
    # by the manifest everything fits one batch, of utterances from 0.1 to a second
    wrong = [replace(utterance, duration_s=0.05) for utterance in utterances]
    right = encodings(Encoder(base, max_padded_s=4), utterances)
    for found, expected in zip(encodings(Encoder(base, max_padded_s=4), wrong), right, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_audio_that_is_longer_than_its_manifest_says_is_a_problem(base: Base, utterances: list[Utterance]) -> None:
    durations_s = [utterance.duration_s or 0.0 for utterance in utterances[:10]]
    limit_s = sorted(durations_s)[5]
    encoded = Encoder(base, max_duration_s=limit_s).encode([replace(u, duration_s=0.1) for u in utterances[:10]])
    too_long = {number for number, duration_s in enumerate(durations_s) if duration_s > limit_s}
    assert encoded.problems == dict.fromkeys(too_long, f"longer than {limit_s:g} s")
    assert [number for number, rows in enumerate(encoded.encodings) if rows is None] == sorted(too_long)


class Reading:
    """Counts the seconds of audio and the files of each batch that is read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: list[int] = []

        def counting(batches: Iterable[list[int]], load: Callable[[list[int]], Any]) -> Iterator[Any]:
            for batch in batches:
                self.files.append(len(batch))
                yield load(batch)

        monkeypatch.setattr(encode, "prefetched", counting)


@pytest.mark.parametrize(
    ("max_duration_s", "files"),
    [(2.0, [30, 30, 20]), (20.0, [4] * 20), (math.inf, [4] * 20), (0.1, [50, 30])],  # 4: as many as are read at once
)
def test_what_is_read_at_a_time_is_bounded_where_durations_are_unknown(
    base: Base,
    utterances: list[Utterance],
    monkeypatch: pytest.MonkeyPatch,
    max_duration_s: float,
    files: list[int],
) -> None:
    reading = Reading(monkeypatch)
    monkeypatch.setattr(encode, "UNKNOWN_S", 60.0)
    monkeypatch.setattr(encode, "READ_FILES", 50)
    monkeypatch.setattr(encode, "read_threads", lambda: 4)
    unknown = [replace(utterance, duration_s=None) for utterance in utterances]
    encoded = Encoder(base, max_duration_s=max_duration_s).encode(unknown)
    assert reading.files == files
    if max_duration_s >= 1:
        assert encoded.problems == {}
        (alone,) = encodings(Encoder(base), [utterances[41]])
        found = encoded.encodings[41]
        assert found is not None
        torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-4)


def test_a_batch_of_files_is_bounded_whatever_their_manifest_says(
    base: Base, utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = Reading(monkeypatch)
    monkeypatch.setattr(encode, "READ_FILES", 30)
    encodings(Encoder(base), [replace(utterance, duration_s=0.01) for utterance in utterances])
    assert reading.files == [30, 30, 20]


def test_too_long_audio_is_not_decoded(
    base: Base, utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    read = soundfile.SoundFile.read

    def counting(file: soundfile.SoundFile, *arguments: Any, **options: Any) -> Any:
        decoded.append(file.frames)
        return read(file, *arguments, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", counting)
    limit_s = sorted(utterance.duration_s or 0.0 for utterance in utterances)[40]
    encoded = Encoder(base, max_duration_s=limit_s).encode([replace(u, duration_s=0.1) for u in utterances])
    assert len(encoded.problems) == 39
    assert len(decoded) == 41
    assert max(decoded) == round(limit_s * base.audio.sample_rate_hz)


@pytest.mark.parametrize(
    ("cpus", "torch_threads", "threads"), [(1, 1, 4), (16, 16, 16), (64, 1, 4), (64, 6, 6), (8, 64, 8), (128, 64, 32)]
)
def test_files_are_read_by_as_many_threads_as_there_are_cpus_for_it(
    base: Base,
    utterances: list[Utterance],
    monkeypatch: pytest.MonkeyPatch,
    cpus: int,
    torch_threads: int,
    threads: int,
) -> None:
    pools: list[int] = []

    def noted(size: int) -> ThreadPoolExecutor:
        pools.append(size)
        return ThreadPoolExecutor(size)

    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cpus)))
    monkeypatch.setattr(torch, "get_num_threads", lambda: torch_threads)
    monkeypatch.setattr(encode, "ThreadPoolExecutor", noted)
    encodings(Encoder(base), utterances[:1])
    assert pools == [threads]


def test_half_precision_halves_the_memory(base: Base, utterances: list[Utterance]) -> None:
    few = utterances[:4]
    halves = encodings(Encoder(base, precision=Precision.bfloat16), few)
    for half, full in zip(halves, encodings(Encoder(base), few), strict=True):
        assert (half.dtype, full.dtype) == (torch.bfloat16, torch.float32)
        torch.testing.assert_close(half.float(), full, atol=0.05, rtol=0.05)


def test_the_clock_is_told_of_every_stage(base: Base, utterances: list[Utterance]) -> None:
    clock = StageClock()
    Encoder(base, stages=clock).encode(utterances[:2])
    assert set(clock.seconds) == {"read", "mel", "encode"}
    assert all(seconds > 0 for seconds in clock.seconds.values())


class SmallMemory:
    """The trunk on a device that holds so many frames of features, padding included."""

    def __init__(self, max_frames: int) -> None:
        self.max_frames, self.failed = max_frames, 0
        self.rows: list[int] = []  # of each call that succeeded
        self.trunk = DeepSpeech2.trunk

    def put_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def trunk(model: DeepSpeech2, features: torch.Tensor, *arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
            num_rows, num_frames = features.shape[:2]
            if num_rows * num_frames > self.max_frames:
                self.failed += 1
                raise torch.OutOfMemoryError("out of memory")
            self.rows.append(num_rows)
            return self.trunk(model, features, *arguments)

        monkeypatch.setattr(DeepSpeech2, "trunk", trunk)


def test_a_batch_that_does_not_fit_is_halved(
    base: Base, utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = utterances[:20]
    expected = encodings(Encoder(base), some)
    memory = SmallMemory(max_frames=500)
    memory.put_in(monkeypatch)
    found = encodings(Encoder(base), some)
    assert memory.failed > 0
    assert sum(memory.rows) == 20
    assert max(memory.rows) > 1
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_an_utterance_that_does_not_fit_alone_is_a_problem(
    base: Base, utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = sorted(utterances[:20], key=lambda utterance: utterance.duration_s or 0.0)
    longest_s, second_s = some[-1].duration_s or 0.0, some[-2].duration_s or 0.0
    assert longest_s > second_s + 0.05
    expected = encodings(Encoder(base), some)
    SmallMemory(max_frames=round((longest_s + second_s) / 2 / base.audio.hop_s)).put_in(monkeypatch)
    encoded = Encoder(base).encode(some)
    assert encoded.problems == {19: TOO_LARGE}
    assert encoded.encodings[19] is None
    for found, other in zip(encoded.encodings[:19], expected, strict=False):
        assert found is not None
        torch.testing.assert_close(found, other, atol=1e-5, rtol=1e-4)
    assert 0 <= encoded.padding < 1
