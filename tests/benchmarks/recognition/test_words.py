"""The benchmark of own words: what it takes for whose word, and which bars it counts as missed."""

import pytest

from benchmarks.recognition import decode, words
from benchmarks.recognition.names import NAMES, TEST_NAMES, VALID_NAMES
from ds2ray.config import DecodeConfig
from ds2ray.recognition.hypothesis import Hypothesis
from ds2ray.tables.manifest import Utterance

TOKENS = [" ", *"abcdefghijklmnopqrstuvwxyz"]
WEIGHT = f"{DecodeConfig.words_weight:g}"


def test_no_name_is_both_chosen_by_and_reported() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert not set(VALID_NAMES) & set(TEST_NAMES)
    assert min(len(VALID_NAMES), len(TEST_NAMES)) > 100


def test_users_have_names_that_nobody_else_begins_with_and_no_text_holds() -> None:
    known = set(TEST_NAMES[:50])
    names = words.names_of(TEST_NAMES, 20, TOKENS, known, ["a", "b", "c"])
    assert all(len(set(own)) == 20 and not set(own) & known for own in names.values())
    assert len({own[0] for own in names.values()}) == 3
    assert all(
        "v" not in name
        for own in words.names_of(NAMES, 20, [*"abcdefghijklmnopqrstuwxyz"], set(), ["a"]).values()
        for name in own
    )


@pytest.mark.parametrize(
    ("recall", "wer", "cost", "missed"),
    [
        (12.0, 21.0, 1.05, []),
        (9.0, 20.0, 1.0, ["beam: recall"]),
        (50.0, 21.5, 1.0, ["beam: errors elsewhere"]),
        (50.0, 20.0, 1.06, ["cost"]),
    ],
)
def test_missed_bars_are_named(recall: float, wer: float, cost: float, missed: list[str]) -> None:
    found = {"recall": {"beam": {"0": 3.0, WEIGHT: recall}}, "wer": {"beam": {"0": 20.0, WEIGHT: wer}}}
    assert words.falls_short(found, {"recognition": cost}) == missed
    assert words.falls_short(found, {}) == [each for each in missed if each != "cost"]


def test_a_rare_word_is_heard_where_it_was_said() -> None:
    utterances = [
        Utterance("1", "ann", "", 1.0, "call zelda now", 1),
        Utterance("2", "bob", "", 1.0, "zelda and waldo", 2),
    ]
    rare = {"ann": ["zelda"], "bob": ["zelda", "waldo"]}
    heard = [Hypothesis("1", "ann", "call zelda now zelda"), Hypothesis("2", "bob", "waldo and zelda")]
    assert decode.recall(utterances, heard, rare) == pytest.approx(100 / 3)
    own = decode.own_words({"ann": ["zelda"], "bob": ["waldo", "zelda"]}, ["ann", "bob", "cy"], ["fay", "ivy"])
    assert own["ann"][0] == "zelda"
    assert own["bob"][:2] == ["waldo", "zelda"]
    assert own["cy"] == ["zelda", "waldo", "fay", "ivy"]
