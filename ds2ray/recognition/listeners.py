"""Listeners of a base in the store: its language model and its calibration recognise speech without transcripts."""

import math

from ds2ray.config import DecodeConfig, DecoderKind
from ds2ray.config.text import OF_THE_BASE
from ds2ray.decoding.calibration import Calibration
from ds2ray.decoding.decoder import name_of
from ds2ray.errors import InputError
from ds2ray.model.weights import Base
from ds2ray.recognition.decoders import open_decoder
from ds2ray.store import Store, read_calibrations
from ds2ray.store.records import known_fields
from ds2ray.training.adapters.listening import Listener


def open_listener(store: Store, base: Base, least: float) -> Listener:
    """What recognises speech without transcripts: beam search with the base's language model, or without one greedy
    decoding.

    Args:
        least: confidence of each word of what is learned from; that which the base has, where its decoder is not
            calibrated.

    Raises:
        ArtifactCorruptError: the language model or the calibration is damaged.
    """
    with_model = DecodeConfig(decoder=DecoderKind.beam, language_model=OF_THE_BASE)
    try:
        decoder = open_decoder(with_model, base.vocabulary, store, base.base_id)
    except InputError:  # there is none
        decoder = open_decoder(DecodeConfig(), base.vocabulary, store, base.base_id)
    numbers = read_calibrations(store, base.base_id).get(name_of(decoder))
    calibration = Calibration(**known_fields(Calibration, numbers)) if numbers else None
    return Listener(decoder, calibration or math.exp, least)
