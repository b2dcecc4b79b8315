"""Calibration of a base's decoders on utterances whose transcripts are known."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from ds2ray.config import DecodeConfig, DecoderKind, Vad
from ds2ray.config.text import OF_THE_BASE, OF_THE_MODEL
from ds2ray.decoding.calibration import MIN_WORDS, Calibration, expected_error, fit
from ds2ray.decoding.decoder import Decoder, name_of
from ds2ray.metrics import aligned
from ds2ray.model.weights import Base
from ds2ray.progress import TellDone, untold_done
from ds2ray.recognition.decoders import open_decoder
from ds2ray.recognition.hypothesis import Hypothesis, Word
from ds2ray.recognition.transcriber import Transcriber
from ds2ray.store import Store
from ds2ray.tables.manifest import Utterance
from ds2ray.text import normalise

MAX_UTTERANCES = 1000
"""Of more, so many are taken, evenly spread: a map has two numbers."""
BY_SOUND = (DecodeConfig(), DecodeConfig(decoder=DecoderKind.beam))
"""Settings of the decoders that need nothing but the base."""
BY_LANGUAGE = (
    DecodeConfig(decoder=DecoderKind.beam, language_model=OF_THE_BASE),
    DecodeConfig(decoder=DecoderKind.beam, language_model=OF_THE_BASE, lexicon=OF_THE_MODEL),
)
"""Settings of those that take the language model beside the base."""


def calibrate(
    transcriber: Transcriber,
    utterances: Sequence[Utterance],
    decoders: Iterable[Decoder],
    tell: TellDone = untold_done,
) -> dict[str, Calibration]:
    """The calibrations of decoders, by their names, without those that hear fewer than MIN_WORDS words.

    Utterances are heard as in recognition, with their users' adapters; without a transcript, or where they cannot be
    read, they are of no use and left out.
    """
    spoken = [utterance for utterance in utterances if utterance.transcript]
    chosen = [spoken[n] for n in _spread(len(spoken))]
    found = {}
    for decoder in decoders:
        hearing = replace(transcriber, decoder=decoder, calibrations={})
        heard = hearing.transcribe_utterances(chosen, tell=tell)
        config = transcriber.base.vocabulary.config
        calibration = fit(
            [
                _judged(normalise(utterance.transcript, config), hypothesis)
                for utterance, hypothesis in zip(chosen, heard, strict=True)
                if not hypothesis.error
            ]
        )
        if calibration is not None:
            found[name_of(decoder)] = calibration
    return found


def calibrate_trained(
    base: Base, store: Store, device: torch.device, utterances: Sequence[Utterance]
) -> dict[str, Calibration]:
    """The calibrations of a base that has just been trained, on its validation data; empty where they say too little.

    Every utterance is heard as a whole, as in validation.
    """
    if sum(len(utterance.transcript.split()) for utterance in utterances) < MIN_WORDS:
        return {}
    base.model.eval()
    nobody = [replace(utterance, user_id="") for utterance in utterances]
    transcriber = Transcriber(store, base, device, vad=Vad.off)
    decoders = [open_decoder(config, base.vocabulary, store, base.base_id) for config in BY_SOUND]
    return calibrate(transcriber, nobody, decoders)


def confidence_error(transcriber: Transcriber, transcripts: Sequence[str], hypotheses: Sequence[Hypothesis]) -> float:
    """The expected calibration error, a fraction, of the confidence of all words that were heard."""
    config = transcriber.base.vocabulary.config
    judged = [
        word
        for transcript, hypothesis in zip(transcripts, hypotheses, strict=True)
        for word in _judged(normalise(transcript, config), hypothesis)
    ]
    confidence, right = np.exp([score for score, _ in judged]), np.array([is_right for _, is_right in judged], bool)
    return expected_error(confidence, right)


def described(calibrations: Mapping[str, Calibration]) -> str:
    """`greedy 0.9 % on 240 words (4.8 % before), beam …`"""
    return ", ".join(
        f"{name} {each.error:.1%} on {each.num_words:,} words ({each.error_before:.1%} before)"
        for name, each in calibrations.items()
    )


def _judged(reference: str, hypothesis: Hypothesis) -> list[tuple[float, bool]]:
    """The words of a hypothesis that have scores: the score, and whether the word was said."""
    return [
        (math.log(max(word.confidence, 1e-300)), is_right)
        for word, is_right in words_judged(reference, hypothesis)
        if word.confidence is not None
    ]


def words_judged(reference: str, hypothesis: Hypothesis) -> list[tuple[Word, bool]]:
    """The words of a hypothesis, and whether each was said, by the alignment with a normalised transcript."""
    words = hypothesis.words
    pairs = aligned(reference.split(), [word.text for word in words])
    return list(zip(words, [said == heard for said, heard in pairs if heard is not None], strict=True))


def _spread(count: int) -> list[int]:
    """Numbers below `count`, all or MAX_UTTERANCES of them."""
    if count <= MAX_UTTERANCES:
        return list(range(count))
    return [number * count // MAX_UTTERANCES for number in range(MAX_UTTERANCES)]
