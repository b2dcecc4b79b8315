"""Settings of decoding that contradict each other, or that nothing would come of."""

import math
from typing import Any

import pytest
from composing import composed, mistakes

from ds2ray.config import DecodeConfig, DecoderKind, LanguageModelConfig, LanguageModelUnit, TranscribeJob
from ds2ray.errors import ConfigError

BEAM = DecoderKind.beam


def test_presets() -> None:
    assert composed(TranscribeJob, "a.wav").decode == DecodeConfig()
    assert composed(TranscribeJob, "a.wav", "decode=beam").decode == DecodeConfig(decoder=BEAM)
    assert composed(TranscribeJob, "a.wav", "decode=lm").decode == DecodeConfig(decoder=BEAM, language_model="base")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"beam_width": 8},
            "decode.beam_width=8 is not possible: greedy decoding, unlike decode=beam and decode=lm, has",
        ),
        ({"language_model": "base"}, "decode.language_model='base' is not possible: greedy decoding"),
        ({"decoder": BEAM, "lm_weight": 0.5}, "decode.lm_weight=0.5 is not possible: decoding without decode.language"),
        ({"decoder": BEAM, "word_score": 0.5}, "decode.word_score=0.5 is not possible: decoding without decode.langua"),
        ({"decoder": BEAM, "lexicon": "model"}, "decode.lexicon='model' is not possible: there is no language model"),
        ({"decoder": "greedy"}, "decode.decoder='greedy' is not possible: a DecoderKind is wanted"),
        ({"decoder": BEAM, "beam_width": 0}, "decode.beam_width=0 is not possible: 1 to 4096"),
        ({"decoder": BEAM, "language_model": "base", "lm_weight": -1.0}, "decode.lm_weight=-1.0 is not possible: at l"),
        ({"decoder": BEAM, "language_model": "base", "word_score": math.inf}, "decode.word_score=inf is not possible"),
    ],
)
def test_what_would_have_no_effect_or_no_sense_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        DecodeConfig(**given)
    assert str(raised.value).startswith(told)


def test_a_typing_mistake_is_answered() -> None:
    assert "decode=lmm: one of beam, greedy, lm is wanted (did you mean lm?)" in mistakes("transcribe", "decode=lmm")


@pytest.mark.parametrize(("unit", "order"), [(LanguageModelUnit.word, 3), (LanguageModelUnit.token, 6)])
def test_the_order_of_a_language_model_depends_on_its_unit(unit: LanguageModelUnit, order: int) -> None:
    assert LanguageModelConfig(unit=unit).chosen_order == order
    assert LanguageModelConfig(unit=unit, order=2).chosen_order == 2


def test_a_unit_is_one_of_the_choices() -> None:
    with pytest.raises(ConfigError, match="lm.unit='token' is not possible"):
        LanguageModelConfig(unit="token")  # type: ignore[arg-type]


@pytest.mark.parametrize("min_counts", [[0], [2, 1], [1, -1]])
def test_counts_that_fall_are_refused(min_counts: list[int]) -> None:
    with pytest.raises(ConfigError, match="lm.min_counts"):
        LanguageModelConfig(min_counts=min_counts)
