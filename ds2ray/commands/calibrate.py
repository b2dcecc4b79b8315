"""jobs/calibrate.py: how sure a base's words are, fitted on a manifest and published beside the base."""

from dataclasses import asdict

from ds2ray import display, storage
from ds2ray.commands.wanted import MODEL_FILE_SUFFIX, stored_base
from ds2ray.config import CalibrateJob
from ds2ray.decoding.calibration import MIN_WORDS
from ds2ray.errors import ConfigError, InputError
from ds2ray.naming import typed
from ds2ray.store import Store, located_base, publish_calibrations, server_outside
from ds2ray.store.layout import language_model_record_uri
from ds2ray.tables.manifest import Utterance, read_manifest
from ds2ray.tables.notes import reading_notes
from ds2ray.tables.validation import enforce, validate


def run(job: CalibrateJob) -> int:
    """Calibrate the decoders of a base; returns 0.

    Raises:
        ConfigError: no manifest is named, or a base that is not in a store.
        InputError: too few words are heard in it.
        StorageError: the store cannot be reached or refuses the credentials.
    """
    with storage.using(server_outside(job.data, job.storage)):
        return _calibrate(job, Store.of(job.storage))


def _calibrate(job: CalibrateJob, store: Store) -> int:
    if not job.manifest:
        raise ConfigError(f"manifest is missing: {typed('calibrate')} <manifest with transcripts>")
    if job.base.endswith(MODEL_FILE_SUFFIX):
        raise ConfigError(f"base={job.base}: a calibration is published beside a base of a store; name that by its id")
    folder_uri, record = located_base(store, job.base)
    utterances = _usable(job, store)
    display.doing("opening the base")
    from ds2ray.recognition.calibrating import BY_LANGUAGE, BY_SOUND, calibrate, described  # import torch
    from ds2ray.recognition.decoders import open_decoder
    from ds2ray.recognition.transcriber import Transcriber

    transcriber = Transcriber.open(store, job.base, batch_s=job.batch_s, vad=job.vad)
    settings = [*BY_SOUND, *(BY_LANGUAGE if store.exists(language_model_record_uri(folder_uri)) else ())]
    vocabulary, base_id = transcriber.base.vocabulary, record.base_id
    with_words = [config for config in settings if not config.lexicon or " " in vocabulary.tokens]
    decoders = [open_decoder(config, vocabulary, store, base_id, folder_uri) for config in with_words]
    found = calibrate(
        transcriber,
        utterances,
        decoders,
        lambda done, total: display.doing("recognising", f"{done}/{total} utterances", share=done / max(1, total)),
    )
    if not found:
        raise InputError(
            f"{job.manifest}: fewer than {MIN_WORDS} words were heard, which say nothing of probabilities; name a "
            "manifest with more speech, or a base that hears it"
        )
    display.say(f"expected errors of confidence: {described(found)}")
    if not job.dry_run:
        uri = publish_calibrations(store, base_id, {name: asdict(each) for name, each in found.items()}, folder_uri)
        display.say(f"wrote {uri}")
    return 0


def _usable(job: CalibrateJob, store: Store) -> list[Utterance]:
    """The usable utterances of the manifest, with transcripts; what is wrong with others is told."""
    base = stored_base(store, job.base)
    assert base is not None
    checked = validate(
        read_manifest(job.manifest, encoding=job.data.encoding), data=job.data, audio=base.audio, vocabulary=None
    )
    enforce(checked, job.data)
    for line in [*reading_notes([checked]), *(f"left out: {problem}" for problem in checked.problems)]:
        display.say(line)
    if not checked.utterances:
        raise InputError(f"{job.manifest}: no usable utterance")
    return checked.utterances
