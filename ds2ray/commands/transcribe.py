"""jobs/transcribe.py: recognise files or a manifest, and where there are transcripts, count errors."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ds2ray import display, storage
from ds2ray.commands.transcribing.named_audio import NamedAudio, named_audio
from ds2ray.commands.transcribing.parts import hint, recognise_into
from ds2ray.commands.transcribing.summary import Summary
from ds2ray.commands.wanted import require_decoding, stored_base
from ds2ray.config import AudioConfig, ShownTextConfig, SpreadConfig, TranscribeJob
from ds2ray.errors import ConfigError, InputError
from ds2ray.naming import named, typed
from ds2ray.outputs.files import require_format, require_one_each, write_hypotheses
from ds2ray.store import Store, require_salt, server_outside
from ds2ray.tables.manifest import Manifest, Utterance, read_manifest
from ds2ray.tables.notes import reading_notes
from ds2ray.tables.problems import require_rows
from ds2ray.tables.validation import enforce, validate
from ds2ray.text import Vocabulary, require_words
from ds2ray.wording.library import require_language

if TYPE_CHECKING:
    from ds2ray.recognition.hypothesis import Hypothesis
    from ds2ray.recognition.transcriber import Transcriber

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
"""How the name of one argument ends that is a manifest, not audio."""


def run(job: TranscribeJob) -> int:
    """Recognise what the job names; returns 0, or 2 where none of it could be read."""
    with storage.using(server_outside(job.data, job.storage)):
        return _transcribe(job, Store.of(job.storage))


def _transcribe(job: TranscribeJob, store: Store) -> int:
    if len(job.audio) == 1 and job.audio[0].lower().endswith(TABLE_SUFFIXES) and not (job.manifest or job.from_file):
        job = replace(job, manifest=job.audio[0], audio=[])
    if bool(job.audio or job.from_file) == bool(job.manifest):
        raise ConfigError(f"give either audio files, as in `{typed('transcribe')} hello.wav`, or manifest=<table>")
    _check_output(job)
    if job.user or job.manifest:
        require_salt(store)
    display.doing("looking at the base and the audio")
    with named_audio(job.audio, job.from_file) as files:
        require_one_each(job.output, len(files))
        return _recognise(job, store, files)


def _check_output(job: TranscribeJob) -> None:
    """Raise ConfigError for an output that cannot be, and for settings of a folder where there is none."""
    folder = job.output.endswith("/")
    if job.output and not folder:
        require_format(job.output)
    if folder and not job.manifest:
        raise ConfigError(f"output={job.output!r}: a folder of parts is for a manifest; write one, or name a table")
    if not folder and replace(job.spread, from_s=SpreadConfig.from_s) != SpreadConfig():
        raise ConfigError("spread.* is of no use without a folder, as output=heard/: give one, or leave it out")


def _recognise(job: TranscribeJob, store: Store, files: Sequence[NamedAudio]) -> int:
    base = stored_base(store, job.base)
    require_decoding(job.decode, store, job.base)
    manifest = _read_manifest(job)
    if manifest and not manifest.utterances and not manifest.problems:
        require_rows(0, [], job.data, job.manifest)
        display.say(f"{job.manifest}: nothing to recognise")
        return 0
    utterances: Sequence[Utterance] = []
    if base:
        _require_display(job.text, base.vocabulary)
    if manifest and base:
        if any(utterance.transcript for utterance in manifest.utterances):
            require_words(base.vocabulary.config)
        utterances = _usable(job, manifest, base.audio)  # its faults are told before torch is imported
        require_one_each(job.output, len(utterances))
    if base and utterances and job.output.endswith("/"):
        return _say_heard(recognise_into(job, store, utterances, base.vocabulary.config))
    display.doing("opening the base")
    from ds2ray.recognition.decoders import decoding_notes  # import torch
    from ds2ray.recognition.opening import open_transcriber, shown

    transcriber = open_transcriber(job, store)
    _require_display(job.text, transcriber.base.vocabulary)
    for note in decoding_notes(transcriber.decoder):
        display.say(note)
    told = _Told()
    if manifest is None:
        heard = transcriber.transcribe([file.uri for file in files], user=job.user, tell=told.files, tell_s=told.audio)
        hypotheses = [replace(h, utterance_id=file.name) for h, file in zip(heard, files, strict=True)]
    else:
        utterances = utterances or _usable(job, manifest, transcriber.base.audio)
        if job.output.endswith("/"):
            return _say_heard(recognise_into(job, store, utterances, transcriber.base.vocabulary.config))
        if said := hint(job, utterances):
            display.say(said)
        hypotheses = transcriber.transcribe_utterances(utterances, tell=told.files, tell_s=told.audio)
    _write(shown(hypotheses, job.text, transcriber.base.vocabulary), job.output)
    if job.output and transcriber.calibration is None:
        display.say(
            "confidence of words is not calibrated for this base and decoder, and often too high: calibrate it with "
            f"{named('calibrate')} <manifest with transcripts>"
        )
    _print_notes(hypotheses)
    if any(utterance.transcript for utterance in utterances):
        _print_errors(transcriber, utterances, hypotheses)
    return InputError.exit_code if all(hypothesis.error for hypothesis in hypotheses) else 0


def _require_display(text: ShownTextConfig, vocabulary: Vocabulary) -> None:
    """Raise ConfigError, before anything is recognised, where text cannot be shown as is wanted."""
    if text.display:
        require_language(text.language or vocabulary.config.language)


def _read_manifest(job: TranscribeJob) -> Manifest | None:
    """The manifest that is to be recognised, where one is named."""
    if not job.manifest:
        return None
    return read_manifest(job.manifest, transcripts_required=False, encoding=job.data.encoding)


class _Told:
    """What is told of recognition: utterances that are done, and how far within long ones."""

    def __init__(self) -> None:
        self._utterances, self._share = "", 0.0

    def files(self, done: int, num_utterances: int) -> None:
        """So many utterances are done."""
        self._utterances = f"{done}/{num_utterances} utterances"
        self._share = max(self._share, done / max(1, num_utterances))
        display.doing("recognising", self._utterances, share=self._share)

    def audio(self, done_s: float, total_s: float) -> None:
        """So much of their audio is; nothing is told where it is not known how long all of it is."""
        if total_s:
            self._share = max(self._share, done_s / total_s)
            minutes = f"{done_s / 60:.1f} of {total_s / 60:.1f} minutes"
            display.doing("recognising", f"{self._utterances} · {minutes}", share=self._share)


def _usable(job: TranscribeJob, manifest: Manifest, audio: AudioConfig) -> list[Utterance]:
    """The usable utterances of the manifest; `user=` speaks for all of them."""
    checked = validate(manifest, data=job.data, audio=audio, vocabulary=None, transcripts_required=False)
    enforce(checked, job.data)
    for note in reading_notes([checked]):
        display.say(note)
    for problem in checked.problems:
        display.say(f"left out: {problem}")
    if not checked.utterances:
        raise InputError(f"{job.manifest}: no usable utterance")
    if not job.user:
        return checked.utterances
    return [
        Utterance(u.utterance_id, job.user, u.audio, u.duration_s, u.transcript, u.line) for u in checked.utterances
    ]


def _write(hypotheses: "Sequence[Hypothesis]", output: str) -> None:
    if not output:
        for hypothesis in hypotheses:
            text = f"ERROR: {hypothesis.error}" if hypothesis.error else hypothesis.text
            display.say(f"{hypothesis.utterance_id}\t{text}")
            for alternative in hypothesis.alternatives:
                display.say(f"  {alternative.share:6.1%}  {alternative.text}")
        return
    write_hypotheses(hypotheses, output)
    display.say(f"wrote {len(hypotheses)} hypotheses to {output}")


def _print_notes(hypotheses: "Sequence[Hypothesis]") -> None:
    """Say how many utterances were recognised without an adapter, or could not be read."""
    heard = Summary()
    for hypothesis in hypotheses:
        heard.add(hypothesis.adapter, hypothesis.note, hypothesis.error)
    for line in heard.lines():
        display.say(line)


def _say_heard(heard: Summary) -> int:
    """Say what is in the parts of a folder; returns the exit code."""
    for line in heard.lines():
        display.say(line)
    if heard.score.words.reference_length:
        rates = f"WER {heard.score.words.rate():.1%}, CER {heard.score.characters.rate():.1%}"
        display.say(f"against the transcripts: {rates}")
    return 0 if heard.adapted or heard.alone else InputError.exit_code


def _print_errors(
    transcriber: "Transcriber", utterances: Sequence[Utterance], hypotheses: "Sequence[Hypothesis]"
) -> None:
    """CER and WER of the base alone and with adapters, on the utterances that have transcripts."""
    rows = [n for n, u in enumerate(utterances) if u.transcript and not hypotheses[n].error]
    transcripts = [utterances[n].transcript for n in rows]
    adapted = [hypotheses[n] for n in rows]
    line = f"on {len(rows)} utterances with transcripts: "
    used = any(hypothesis.adapter for hypothesis in adapted)
    alone = transcriber.transcribe_utterances([utterances[n] for n in rows], use_adapters=False) if used else adapted
    before, after = transcriber.score(transcripts, alone), transcriber.score(transcripts, adapted)
    line += f"base WER {before.words.rate():.1%}, CER {before.characters.rate():.1%}"
    if used:
        line += f"; with adapters WER {after.words.rate():.1%}, CER {after.characters.rate():.1%}"
    display.say(line)
