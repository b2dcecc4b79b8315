"""Decoders as settings name them: with the language model of a base, with a lexicon, or with neither."""

import gzip
import math
import zlib
from typing import TYPE_CHECKING

from ds2ray import storage
from ds2ray.config import DecodeConfig, DecoderKind, LanguageModelUnit
from ds2ray.config.text import OF_THE_BASE, OF_THE_MODEL
from ds2ray.decoding.decoder import Decoder
from ds2ray.decoding.greedy import Greedy
from ds2ray.errors import ArtifactCorruptError, ConfigError, InputError
from ds2ray.store import Store, read_language_model
from ds2ray.text import Vocabulary, normalise

if TYPE_CHECKING:
    from ds2ray.decoding.fusion import Fusion
    from ds2ray.decoding.language.language_model import LanguageModel

_MAX_SHOWN = 10


def open_decoder(
    config: DecodeConfig, vocabulary: Vocabulary, store: Store, base_id: str, folder_uri: str = ""
) -> Decoder:
    """The decoder of the settings, for a base.

    Args:
        store: in which the base's language model is looked for.
        folder_uri: of the base, where it is not in this store.

    Raises:
        InputError: there is no such language model or lexicon, or it does not suit the base.
        ArtifactCorruptError: the language model is damaged.
        ConfigError: a language model of tokens is given a lexicon.
    """
    if config.decoder is DecoderKind.greedy:
        return Greedy()
    from ds2ray.decoding.beam import Beam  # greedy decoding needs none of it

    fusion = _fusion(config, vocabulary, store, base_id, folder_uri)
    return Beam(fusion, config.beam_width, num_best=config.n_best, words_weight=config.words_weight)


def _fusion(config: DecodeConfig, vocabulary: Vocabulary, store: Store, base_id: str, folder_uri: str) -> "Fusion":
    from ds2ray.decoding.fusion import NoFusion, TokenFusion, WordFusion
    from ds2ray.decoding.language.ngrams import SPECIAL

    model, unit = None, LanguageModelUnit.word
    if config.language_model:
        model, unit = open_language_model(config.language_model, store, base_id, folder_uri)
    if model and unit is LanguageModelUnit.token:
        if config.lexicon:
            raise ConfigError(
                f"decode.lexicon={config.lexicon!r} needs a language model of words, and this one is of tokens; leave "
                "it out, or make another model with lm.unit=word"
            )
        return TokenFusion(model, vocabulary, config.lm_weight, config.word_score)
    if not model and not config.lexicon:
        return NoFusion()
    words = model.words[len(SPECIAL) :] if model else ()
    if config.lexicon and config.lexicon != OF_THE_MODEL:
        words = read_lexicon(config.lexicon, vocabulary)
    return WordFusion(
        words,
        vocabulary,
        model=model,
        weight=config.lm_weight,
        word_score=config.word_score,
        unknown_score=-math.inf if config.lexicon else config.unknown_score,
    )


def decoding_notes(decoder: Decoder) -> list[str]:
    """Lines on words that the decoder knows and cannot hear, for the reader of a log."""
    unwritable = getattr(getattr(decoder, "fusion", None), "unwritable", [])
    if not unwritable:
        return []
    shown = ", ".join(map(repr, unwritable[:_MAX_SHOWN])) + (" …" if len(unwritable) > _MAX_SHOWN else "")
    return [f"never heard, as the base cannot write them: {len(unwritable)} of the language model's words: {shown}"]


def read_lexicon(uri: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The different words of a text, normalised as the base's transcripts are.

    Raises:
        InputError: there is no such text, no word in it, or a word that the base cannot write.
    """
    from ds2ray.corpora.texts import read_lines  # imports the readers of all corpora

    lines = read_lines(storage.absolute(uri)).sentences
    words = tuple(dict.fromkeys(word for line in lines for word in normalise(line, vocabulary.config).split()))
    if not words:
        raise InputError(f"{uri}: there are no words; write one a line")
    unwritable = [word for word in words if vocabulary.unknown_characters(word)]
    if unwritable:
        shown = ", ".join(map(repr, unwritable[:_MAX_SHOWN])) + (" …" if len(unwritable) > _MAX_SHOWN else "")
        raise InputError(
            f"{uri}: {len(unwritable)} of its {len(words)} words hold characters that the base cannot write: {shown}; "
            "spell them in its characters, or leave them out"
        )
    return words


def open_language_model(
    language_model: str, store: Store, base_id: str, folder_uri: str = ""
) -> "tuple[LanguageModel, LanguageModelUnit]":
    """A language model, and what it predicts.

    Args:
        language_model: as in the settings, `base` or the URI of an ARPA file; the others as of `open_decoder`.
    """
    from ds2ray.corpora.texts import read_whole
    from ds2ray.decoding.language.arpa import read_arpa
    from ds2ray.decoding.language.language_model import LanguageModel

    if language_model != OF_THE_BASE:
        content = read_whole(storage.absolute(language_model), "utf-8").content
        return LanguageModel(read_arpa(content.splitlines(), language_model)), LanguageModelUnit.word
    record, data = read_language_model(store, base_id, folder_uri)
    try:
        text = gzip.decompress(data).decode()
        return LanguageModel(read_arpa(text.splitlines(), record.where)), LanguageModelUnit(record.unit)
    except (OSError, EOFError, zlib.error, ValueError, InputError) as error:
        raise ArtifactCorruptError(f"{record.where}: its model cannot be read ({error}); make it again") from error
