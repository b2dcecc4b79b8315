"""Encoding: little padding, whatever the manifest says, and the precision that is asked for."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from toy_speech import make_utterances

from ds2ray.config import Precision
from ds2ray.data.manifest import Utterance
from ds2ray.model.weights import Base
from ds2ray.training.encode import Encoder
from ds2ray.training.stages import StageClock


@pytest.fixture
def base(fresh_base: Callable[[], Base]) -> Base:
    return fresh_base()


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
