"""Sources of a base's training data: manifests or KoSpeech's transcripts, either with a vocabulary CSV."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ds2ray.config import DataConfig, ProbeAudio, TextConfig, TrainConfig
from ds2ray.corpora.kospeech import find_kospeech_vocabulary, read_kospeech, read_kospeech_vocabulary
from ds2ray.errors import ConfigError, InputError
from ds2ray.packs.references import is_packed, read_packed_manifest
from ds2ray.progress import Tell, untold
from ds2ray.shapes.shape import Shape
from ds2ray.tables.manifest import Manifest, Utterance, read_manifest
from ds2ray.tables.notes import reading_notes
from ds2ray.tables.problems import Problem
from ds2ray.tables.validation import enforce, validate
from ds2ray.text import Vocabulary, require_words
from ds2ray.training.hold_out import hold_out

if TYPE_CHECKING:
    from ds2ray.model.weights import Base


@dataclass(frozen=True)
class TrainingData:
    """Usable utterances, the vocabulary that they are written in, and the problems of rows that were left out."""

    vocabulary: Vocabulary
    train: Sequence[Utterance]
    valid: Sequence[Utterance]
    problems: Sequence[Problem]
    notes: Sequence[str] = ()  # on data that was converted, left out or ignored in reading

    def summary(self) -> str:
        """The data as a line for a log: utterances, hours, tokens and rows left out."""
        hours = sum(u.duration_s or 0.0 for u in self.train) / 3600
        text = f"{len(self.train)} training utterances ({hours:.2f} h), {len(self.valid)} for validation, "
        text += f"{len(self.vocabulary)} tokens"
        return f"{text}; {len(self.problems)} rows left out" if self.problems else text


@dataclass(frozen=True)
class SourceTables:
    """The tables of training data as they were read, not yet checked. The vocabulary is that of a CSV, if any."""

    train: Manifest
    valid: Manifest | None
    vocabulary: Vocabulary | None


def read_tables(train: TrainConfig, text: TextConfig, encoding: str = "") -> SourceTables:
    """Read all tables that the settings name.

    Args:
        encoding: of text files; empty: UTF-8, or guessed.

    Raises:
        ConfigError: no training data is named, or both manifests and KoSpeech's transcripts are.
        InputError: a table is missing or cannot be read.
    """
    if train.manifest and train.transcripts_path:
        raise ConfigError("train.manifest and train.transcripts_path are both given: name one of them")
    if train.manifest:
        found = read_kospeech_vocabulary(train.vocab_path, text) if train.vocab_path else None
        manifest = _read(train.manifest, encoding)
    elif train.transcripts_path:
        vocab_uri = train.vocab_path or find_kospeech_vocabulary(train.transcripts_path) or ""
        manifest, found = read_kospeech(train.transcripts_path, train.dataset_path, text, vocab_uri, encoding)
    else:
        raise ConfigError(
            "no training data: give train.manifest=<table with audio and transcript>, or train.dataset_path and "
            "train.transcripts_path for KoSpeech's format"
        )
    return SourceTables(manifest, _read(train.valid_manifest, encoding) if train.valid_manifest else None, found)


def load_training_data(
    train: TrainConfig, data: DataConfig, text: TextConfig, shape: Shape, vocabulary: Vocabulary | None = None
) -> TrainingData:
    """The usable training data of the tables that the settings name; see `read_tables` and `usable_data`."""
    return usable_data(read_tables(train, text, data.encoding), train, data, text, shape, vocabulary)


def usable_data(
    tables: SourceTables,
    train: TrainConfig,
    data: DataConfig,
    text: TextConfig,
    shape: Shape,
    vocabulary: Vocabulary | None = None,
    base: "Base | None" = None,
    tell: Tell = untold,
) -> TrainingData:
    """The usable training data of tables: every row is checked, and without a validation table a part is held out.

    Args:
        shape: of the base that is to be trained.
        vocabulary: of the base that is fine-tuned or adapted; None: that of the CSV, or one built from the transcripts.
        base: that cuts long recordings, where `data.segment_long` says so; None: they are refused.

    Raises:
        InputError: every problem of the data that the policies in `data` refuse, at once.
        ConfigError: numbers are to be put in words, and num2words is missing or lacks the language.
    """
    vocabulary = vocabulary or tables.vocabulary
    require_words(vocabulary.config if vocabulary else text)
    if vocabulary is None:
        vocabulary = Vocabulary.from_transcripts((u.transcript for u in tables.train.utterances), text)
    manifest = _checked(tables.train, data, shape, vocabulary, base, tell)
    if tables.valid is not None:
        valid = _checked(tables.valid, data, shape, vocabulary, base, tell)
        problems, notes = [*manifest.problems, *valid.problems], reading_notes([manifest, valid])
        return TrainingData(vocabulary, manifest.utterances, valid.utterances, problems, notes)
    utterances = manifest.utterances
    train_rows, valid_rows = hold_out([u.utterance_id for u in utterances], train.valid_fraction, train.seed)
    train_part, valid_part = [utterances[row] for row in train_rows], [utterances[row] for row in valid_rows]
    return TrainingData(vocabulary, train_part, valid_part, manifest.problems, reading_notes([manifest]))


def _read(uri: str, encoding: str) -> Manifest:
    """A manifest; that of a packed corpus names audio by reference, which stays in the shards until it is wanted."""
    with suppress(FileNotFoundError):
        packed = read_packed_manifest(uri)
        if packed is not None:
            return packed
    return read_manifest(uri, encoding=encoding)


def _checked(
    manifest: Manifest, data: DataConfig, shape: Shape, vocabulary: Vocabulary, base: "Base | None", tell: Tell
) -> Manifest:
    if all(is_packed(utterance.audio) for utterance in manifest.utterances):
        data = replace(data, probe_audio=ProbeAudio.none)  # packing has opened and measured all audio
    checked = validate(
        manifest,
        data=data,
        audio=shape.audio,
        vocabulary=vocabulary,
        encoding_frames=shape.encoding_frames,
        has_aligner=base is not None,
    )
    if base is not None and data.segment_long:
        from ds2ray.training.long_recordings import with_segments  # imports torch

        checked = with_segments(checked, base, data, tell)
    enforce(checked, data)
    if not checked.utterances:
        causes = "; ".join(str(problem) for problem in checked.problems[:5])
        raise InputError(f"{manifest.uri}: no usable utterance" + (f", e.g. {causes}" if causes else ""))
    return checked
