"""The Transcriber that a job's settings name, the recognition of a part, and the listener of a base."""

import math
from collections.abc import Sequence
from dataclasses import replace

from ds2ray import storage
from ds2ray.config import DecodeConfig, DecoderKind, ShownTextConfig, TranscribeJob
from ds2ray.config.text import OF_THE_BASE
from ds2ray.decoding.calibration import Calibration
from ds2ray.decoding.decoder import name_of
from ds2ray.errors import InputError
from ds2ray.model.weights import Base
from ds2ray.progress import TellDone, untold_done
from ds2ray.recognition.decoders import open_decoder
from ds2ray.recognition.hypothesis import Hypothesis
from ds2ray.recognition.hypothesis_table import hypotheses_table
from ds2ray.recognition.speakers import KeyOf
from ds2ray.recognition.transcriber import Transcriber
from ds2ray.store import Store, read_calibrations, user_key
from ds2ray.store.records import known_fields
from ds2ray.tables.manifest import Utterance
from ds2ray.text import Vocabulary
from ds2ray.training.adapters.listening import Listener
from ds2ray.wording.display import displayed


def open_transcriber(job: TranscribeJob, store: Store, key_of: KeyOf = user_key) -> Transcriber:
    """The job's Transcriber. Raises as `Transcriber.open` does.

    Args:
        key_of: the key of a user in the store.
    """
    opened = Transcriber.open(
        store,
        job.base,
        batch_s=job.batch_s,
        max_open=job.max_open,
        vad=job.vad,
        max_segment_s=job.max_segment_s,
        decoder=job.decode,
        fresh_s=job.fresh_s,
    )
    return opened if key_of is user_key else replace(opened, key_of=key_of)


def recognise_part(
    transcriber: Transcriber,
    utterances: Sequence[Utterance],
    uri: str,
    text: ShownTextConfig,
    tell: TellDone = untold_done,
) -> None:
    """Recognise the utterances of a part, and write its file: whole, or not at all."""
    hypotheses = transcriber.transcribe_utterances(utterances, tell=tell)
    storage.write_table(uri, hypotheses_table(shown(hypotheses, text, transcriber.base.vocabulary)))


def shown(hypotheses: list[Hypothesis], text: ShownTextConfig, vocabulary: Vocabulary) -> list[Hypothesis]:
    """Hypotheses as the settings show their text; words with times stay as they were recognised."""
    if not text.display:
        return hypotheses
    language = text.language or vocabulary.config.language
    return [replace(hypothesis, text=displayed(hypothesis.text, language)) for hypothesis in hypotheses]


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
