"""Checks of a job's needs and of its base, as far as they can be made before torch is imported."""

from dataclasses import dataclass

from ds2ray import display, storage
from ds2ray.config import (
    AdapterConfig,
    AdaptJob,
    AudioConfig,
    DecodeConfig,
    ModelConfig,
    audio_from_plain,
    model_from_plain,
)
from ds2ray.config.text import OF_THE_BASE, OF_THE_MODEL
from ds2ray.errors import InputError
from ds2ray.fleet.anchor_speech import anchor_speech
from ds2ray.naming import named
from ds2ray.shapes.architectures import shape_of
from ds2ray.shapes.fingerprints import require_known_version
from ds2ray.shapes.shape import Shape
from ds2ray.store import (
    BaseRecord,
    Store,
    adopt_base,
    located_base,
    read_base,
    read_complete_record,
    read_language_model_record,
)
from ds2ray.tables.manifest import Utterance
from ds2ray.tables.users import read_fleet
from ds2ray.text import Vocabulary

MODEL_FILE_SUFFIX = ".pt"


@dataclass(frozen=True)
class BaseSettings:
    """A base without its weights."""

    model: ModelConfig
    audio: AudioConfig
    vocabulary: Vocabulary

    @classmethod
    def of(cls, record: BaseRecord) -> "BaseSettings":
        """The settings of a stored base. Raises NewerReleaseError or ArtifactCorruptError, naming its file."""
        require_known_version(record.fingerprint_version, record.where)
        return cls(
            model_from_plain(record.model, record.where),
            audio_from_plain(record.audio, record.where),
            Vocabulary.from_json(record.vocabulary, record.where),
        )

    @property
    def shape(self) -> Shape:
        """The shape of the base's model, for planning."""
        return shape_of(self.model, self.audio)


def stored_base(store: Store, base: str) -> BaseSettings | None:
    """The settings of the base that a job names; None for a model.pt, which only torch can read.

    Raises:
        InputError: there is no such base, or no such file, or it comes from a newer release.
        ArtifactCorruptError: the base is damaged.
    """
    if base.endswith(MODEL_FILE_SUFFIX):
        require_model_file(base)
        return None
    return BaseSettings.of(read_complete_record(store, base))


def require_model_file(uri: str) -> None:
    """Raise InputError where there is no model.pt."""
    if not storage.exists(uri):
        raise InputError(f"{uri}: no such file; train a base with {named('train')}, or give the path of its model.pt")


def require_decoding(decode: DecodeConfig, store: Store, base: str) -> None:
    """Raise InputError where there is no such language model or lexicon; that of a model.pt is looked for later."""
    if decode.language_model == OF_THE_BASE and not base.endswith(MODEL_FILE_SUFFIX):
        folder_uri, record = located_base(store, base)
        read_language_model_record(store, record.base_id, folder_uri)
    for name, uri in (("language_model", decode.language_model), ("lexicon", decode.lexicon)):
        if uri and uri not in (OF_THE_BASE, OF_THE_MODEL) and not storage.exists(uri):
            raise InputError(f"decode.{name}={uri}: there is no such file")


def require_place(adapter: AdapterConfig, shape: Shape) -> None:
    """Raise ConfigError where the base has no such place for an adapter."""
    shape.place(adapter.after_layer)


def wanted_base(job: AdaptJob, store: Store) -> BaseRecord:
    """The record of the base to adapt to, which may be a model.pt or lie elsewhere; nothing is written.

    Raises:
        ConfigError: the base has no place for the adapter.
        InputError: there is no such base, or it comes from a newer release.
        ArtifactCorruptError: the base is damaged.
    """
    if not job.base.endswith(MODEL_FILE_SUFFIX):
        record = read_complete_record(store, job.base)
        require_place(job.adapter, BaseSettings.of(record).shape)
        if "/" in job.base and not job.dry_run:
            read_fleet(job.users, job.data)  # a table that is wrong starts nothing
        return record
    require_model_file(job.base)
    read_fleet(job.users, job.data)  # what is wrong with the table is told before torch is imported
    from ds2ray.model.files import load_model_file
    from ds2ray.model.stored import describe_base

    base = load_model_file(job.base)
    require_place(job.adapter, base.model.shape)
    return describe_base(base, run_id=job.base)


def wanted_weights(job: AdaptJob, store: Store, record: BaseRecord) -> bytes:
    """The weights of the base that the job names, checked together with its record; nothing is written.

    Raises:
        InputError: there is no such base any more.
        ArtifactCorruptError: the weights are missing, or do not belong to the record.
    """
    from ds2ray.model.stored import base_from_bytes, base_to_bytes  # imports torch

    if job.base.endswith(MODEL_FILE_SUFFIX):
        from ds2ray.model.files import load_model_file

        weights = base_to_bytes(load_model_file(job.base))
    else:
        _, weights = read_base(store, job.base if "/" in job.base else record.base_id)
    base_from_bytes(record, weights)
    return weights


def take_base(job: AdaptJob, store: Store) -> None:
    """Publish a base that lies elsewhere in the store, so that recognition finds it."""
    base = job.base
    if base.endswith(MODEL_FILE_SUFFIX):
        from ds2ray.model.files import load_model_file
        from ds2ray.model.stored import publish_base

        publish_base(store, load_model_file(base), run_id=base, metrics={})
    elif "/" in base:
        adopt_base(store, base)


def wanted_anchor(job: AdaptJob, record: BaseRecord) -> list[Utterance]:
    """The speech of the anchor that the job names; none where it names none. What is left out of it is told.

    Raises:
        InputError: too little of it can be used.
    """
    if not job.adapt.anchor_manifest:
        return []
    base = BaseSettings.of(record)
    uri, data = job.adapt.anchor_manifest, job.data
    speech, lines = anchor_speech(uri, data=data, shape=base.shape, vocabulary=base.vocabulary)
    for line in lines:
        display.say(line)
    return speech
