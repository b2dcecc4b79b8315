"""How much of the transcripts a vocabulary can write."""

import pytest

from ds2ray.config import TextConfig, TextUnit
from ds2ray.text import Vocabulary
from ds2ray.training.base.doctor.vocabulary import lost_characters


def test_every_occurrence_counts() -> None:
    vocabulary = Vocabulary.from_transcripts(["ab "], TextConfig())
    assert lost_characters(["abcc", "a d"], vocabulary) == (pytest.approx(3 / 7), {"c": 2, "d": 1})
    assert lost_characters(["ab", "BA"], vocabulary) == (0.0, {})
    assert lost_characters([], vocabulary) == (0.0, {})


def test_jamo_count_by_themselves() -> None:
    config = TextConfig(unit=TextUnit.jamo)
    vocabulary = Vocabulary.from_transcripts(["가나"], config)
    share, lost = lost_characters(["가나고"], vocabulary)
    assert share == pytest.approx(1 / 6)
    assert list(lost.values()) == [1]
