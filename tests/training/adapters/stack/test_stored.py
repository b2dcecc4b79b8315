"""Encodings of a stack: the rows of a step, and memory."""

from dataclasses import replace

import pytest
import torch

from ds2ray.training.adapters.judging.split import Part
from ds2ray.training.adapters.speech import UserSpeech
from ds2ray.training.adapters.stack.stored import SpeechTable


def speeches() -> list[UserSpeech]:
    torch.manual_seed(0)
    users = [[torch.randn(length, 4) for length in lengths] for lengths in ([3, 5], [2, 7, 1])]
    return [
        UserSpeech("ann", 0, rows, [torch.ones(2).long()] * len(rows), [""] * len(rows), [Part([0], [1])])
        for rows in users
    ]


def test_frames_on_the_device_are_held_once() -> None:
    users, expected = speeches(), speeches()
    table = SpeechTable(users, torch.device("cpu"))
    frames = [rows for user in users for rows in user.frames]
    torch.testing.assert_close(frames, [rows for user in expected for rows in user.frames], rtol=0, atol=0)
    assert len({rows.untyped_storage().data_ptr() for rows in frames}) == 1
    taken = table.rows([1, 0], [[1], [0]])
    torch.testing.assert_close(taken.frames, torch.cat([expected[1].frames[1], expected[0].frames[0]]))


def test_frames_in_host_memory_stay_there() -> None:
    users = speeches()
    before = [list(user.frames) for user in users]
    SpeechTable(users, torch.device("meta"))
    for user, rows in zip(users, before, strict=True):
        assert all(one is other for one, other in zip(user.frames, rows, strict=True))


@pytest.mark.parametrize("parts", [[], [Part([], [1])], [Part([0, 1], [])]], ids=["none", "untrained", "unjudged"])
def test_a_user_needs_speech_to_train_on_and_held_out_speech(parts: list[Part]) -> None:
    good, bad = speeches()
    with pytest.raises(ValueError, match="ann needs utterances to train on and held-out ones"):
        SpeechTable([good, replace(bad, parts=parts)], torch.device("cpu"))
