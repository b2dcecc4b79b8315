"""How much of a fleet's speech is narrowband, and whether its base knows such speech."""

from typing import Any

import pytest

from ds2ray.fleet.bandwidth import bandwidth_notes
from ds2ray.tables.manifest import Manifest, Utterance


def user(name: str, num_utterances: int, **conversions: int) -> Manifest:
    rows = [Utterance(f"{name}-{line}", name, "a.wav", 1.0, "go", line) for line in range(num_utterances)]
    return Manifest("", rows, conversions=conversions, user_id=name)


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"telephone_share": 0.25}, "trained with 25% of its speech at 8 kHz"),
        ({"telephone_share": 0.0}, "train one with train.augment.telephone_share=0.25"),
        ({}, "nothing is known of the base's own training"),
    ],
)
def test_the_share_of_all_users_is_told_with_what_the_base_knows(metrics: dict[str, Any], said: str) -> None:
    users = [user("ann", 6, sampled_up=3, resampled=3), user("ben", 4, resampled=4)]
    (note,) = bandwidth_notes(users, 16000, metrics)
    assert note.startswith("bandwidth: 30% of the utterances are sampled up to 16000 Hz; ")
    assert said in note


def test_nothing_is_told_of_speech_at_the_rate_of_the_base_or_above() -> None:
    assert bandwidth_notes([user("ann", 6, resampled=6), user("ben", 0)], 16000, {}) == []
