"""Users that cannot be helped, or not with all of their speech; they cost nobody else anything."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from base_training import damaged
from toy_cohorts import ADAPT, Fleet, adapted, toy_users
from toy_speech import SAMPLE_RATE_HZ

from ds2ray.errors import DeviceLostError, StorageError
from ds2ray.model.weights import Base
from ds2ray.training.adapters.judging.gate import CurrentAdapter


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return toy_users(tmp_path_factory.mktemp("users"))


def test_unusable_audio_is_dropped_and_counted(base: Base, users: Fleet, tmp_path: Path) -> None:
    utterances = list(users["ann"])
    shutil.copy(str(utterances[0].audio), tmp_path / "whole.wav")
    utterances[0] = damaged(replace(utterances[0], audio=str(tmp_path / "whole.wav")))
    utterances[1] = replace(utterances[1], audio=str(tmp_path / "none.wav"))
    utterances[2] = replace(utterances[2], audio=str(tmp_path / "loud.wav"))
    loud = np.full(SAMPLE_RATE_HZ, 1e30, dtype=np.float32)
    soundfile.write(str(tmp_path / "loud.wav"), loud, SAMPLE_RATE_HZ, subtype="FLOAT")
    result = adapted(base, {"ann": utterances})["ann"]
    assert result.utterances_used == len(utterances) - 3
    assert sum(result.dropped.values()) == 3
    assert result.dropped["there is no such file"] == 1
    assert result.dropped["its encoding is not finite"] == 1
    assert any("truncated" in reason for reason in result.dropped)
    assert result.fit is not None


def test_the_log_has_a_line_for_each_user_and_cause(
    base: Base, users: Fleet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ann = [
        replace(one, audio=str(tmp_path / "none.wav")) if place < 3 else one for place, one in enumerate(users["ann"])
    ]
    bob = [replace(users["bob"][0], audio=str(tmp_path / "none.wav")), *users["bob"][1:]]
    with caplog.at_level(logging.WARNING, logger="ds2ray.training.adapters.speech"):
        adapted(base, {"ann": ann, "bob": bob}, adapt=replace(ADAPT, num_epochs=1))
    first = [speech[0].utterance_id for speech in (ann, bob)]
    assert [record.getMessage() for record in caplog.records] == [
        f"ann, utterance {first[0]} and 2 more: there is no such file",
        f"bob, utterance {first[1]}: there is no such file",
    ]


def test_a_user_with_too_little_speech_is_a_result(base: Base, users: Fleet) -> None:
    results = adapted(base, {"silent": [], "bob": users["bob"][:3], "ann": users["ann"]})
    for name, count in (("silent", 0), ("bob", 3)):
        result = results[name]
        assert (result.fit, result.better, result.failed) == (None, False, False)
        assert result.reason == f"{count} usable utterances, at least 4 are needed"
    assert results["ann"].fit is not None


def test_an_error_in_one_users_training_stops_no_other(base: Base, users: Fleet) -> None:
    def open_current(user_key: str) -> CurrentAdapter | None:
        if user_key == "bob":
            raise ValueError("no adapter of this shape")
        return None

    results = adapted(base, users, open_current=open_current)
    assert results["bob"].failed
    assert results["bob"].reason == "ValueError: no adapter of this shape"
    assert results["bob"].fit is None
    assert all(results[name].fit is not None for name in ("ann", "홍길동"))


def test_divergence_is_a_failed_user(base: Base, users: Fleet) -> None:
    adapt = replace(ADAPT, learning_rate=1e30, patience_epochs=6)
    result = adapted(base, {"ann": users["ann"]}, adapt=adapt)["ann"]
    assert result.failed
    assert result.reason.startswith("no step of epoch")


def test_a_store_that_cannot_be_reached_stops_the_cohort(base: Base, users: Fleet) -> None:
    def open_current(user_key: str) -> CurrentAdapter | None:
        raise StorageError("s3://bucket: access denied")

    with pytest.raises(StorageError, match="denied"):
        adapted(base, {"ann": users["ann"]}, open_current=open_current)


def test_a_lost_device_stops_the_cohort_and_fails_nobody(base: Base, users: Fleet) -> None:
    def open_current(user_key: str) -> CurrentAdapter | None:
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    with pytest.raises(DeviceLostError, match="AcceleratorError: CUDA error: device-side assert triggered"):
        adapted(base, users, open_current=open_current)


def test_no_users(base: Base) -> None:
    assert adapted(base, {}) == {}
