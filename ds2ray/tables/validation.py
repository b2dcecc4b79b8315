"""Validation of a manifest's utterances: every problem at once, before anything is started."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ds2ray import storage
from ds2ray.config import AudioConfig, DataConfig, ProbeAudio, UnknownCharacters
from ds2ray.sound.audio import AudioInfo
from ds2ray.sound.measuring import absence, measure_all
from ds2ray.storage import ObjectInfo
from ds2ray.storage.reach import ALLOW, allowed
from ds2ray.tables.manifest import Manifest, Utterance
from ds2ray.tables.problems import Problem, ProblemKind, refuse, shown
from ds2ray.text import Vocabulary, describe_character, min_ctc_frames, remedy_of
from ds2ray.uris import excerpt_of, excerpt_uri, recording_of

MIXED, RESAMPLED, DURATION_CORRECTED = "mixed_to_mono", "resampled", "duration_corrected"
CHARACTERS_DROPPED = "characters_dropped"
SAMPLED_UP = "sampled_up"
PUT_IN_WORDS = "put_in_words"
UNTRANSCRIBED = "untranscribed"

SEGMENT_LONG = "set data.segment_long=true, which cuts it where a base can align its transcript"
NO_ALIGNER = (
    "name a base that aligns its transcript: prepare.base=… in packing, train.pretrained_model_path=… in training"
)

_DURATION_TOLERANCE = 0.01  # share by which a manifest's duration may differ from the audio's …
_DURATION_TOLERANCE_S = 0.02  # … or seconds, where that is more

EncodingFrames = Callable[[int], int]
"""Number of samples → frames that CTC aligns with."""


@dataclass(frozen=True)
class _Checks:
    """The settings, the vocabulary and the shape that utterances are held against."""

    data: DataConfig
    audio: AudioConfig
    vocabulary: Vocabulary | None
    transcripts_required: bool
    encoding_frames: EncodingFrames | None
    has_aligner: bool


@dataclass(frozen=True)
class _Fault:
    """Why one audio or transcript cannot be used."""

    kind: ProblemKind
    column: str
    value: object
    reason: str
    remedy: str


def validate(
    manifest: Manifest,
    *,
    data: DataConfig,
    audio: AudioConfig,
    vocabulary: Vocabulary | None,
    objects: Mapping[str, ObjectInfo | None] | None = None,
    transcripts_required: bool = True,
    encoding_frames: EncodingFrames | None = None,
    has_aligner: bool = False,
) -> Manifest:
    """Check every utterance; does not raise for any of them.

    Args:
        vocabulary: that transcripts are to be written in; None: they only must not be empty.
        objects: what `storage.stat_many` said of the audio, where the caller has asked already.
        transcripts_required: False where speech is only to be recognised.
        encoding_frames: of the base, as its shape tells; None: a transcript may be too long for its audio.
        has_aligner: whether there is a base that cuts long audio where `data.segment_long` says so; it is usable then.

    Returns:
        A new manifest with the usable utterances, their durations filled in where the audio was opened, and all
        problems by line. `conversions` counts utterances that are used but not as they are: `mixed_to_mono` and
        `resampled`, of these `sampled_up` (of those whose audio was opened), `duration_corrected` (the manifest said
        something else than the audio), `put_in_words` (numbers and abbreviations), `characters_dropped` and
        `untranscribed` (used without a transcript, as `data.unlabelled` says).

    Raises:
        StorageError: the store cannot be reached or refuses the credentials.
    """
    return validate_many(
        [manifest],
        data=data,
        audio=audio,
        vocabulary=vocabulary,
        objects=objects,
        transcripts_required=transcripts_required,
        encoding_frames=encoding_frames,
        has_aligner=has_aligner,
    )[0]


def validate_many(
    manifests: Sequence[Manifest],
    *,
    data: DataConfig,
    audio: AudioConfig,
    vocabulary: Vocabulary | None,
    objects: Mapping[str, ObjectInfo | None] | None = None,
    transcripts_required: bool = True,
    encoding_frames: EncodingFrames | None = None,
    has_aligner: bool = False,
) -> list[Manifest]:
    """`validate` for many manifests, with the audio of all of them looked at together."""
    checks = _Checks(data, audio, vocabulary, transcripts_required, encoding_frames, has_aligner)
    if objects is None:
        objects = _stat(manifests, data)
    manifests = [_as_stored(manifest, objects) for manifest in manifests]
    sounds = iter(_look_at(manifests, data, objects))
    return [_check_manifest(manifest, [next(sounds) for _ in manifest.utterances], checks) for manifest in manifests]


def enforce(manifest: Manifest, data: DataConfig) -> None:
    """Hold a manifest's problems against the policies in `data`; see `refuse`."""
    refuse(manifest.problems, data, manifest.uri)


def _check_manifest(manifest: Manifest, sounds: Sequence[AudioInfo | _Fault | None], checks: _Checks) -> Manifest:
    usable, problems = [], list(manifest.problems)
    conversions, dropped = Counter(manifest.conversions), Counter(manifest.dropped_characters)
    for utterance, sound in zip(manifest.utterances, sounds, strict=True):
        faults = [sound] if isinstance(sound, _Fault) else []
        info = sound if isinstance(sound, AudioInfo) else None
        checked = replace(utterance, duration_s=info.duration_s) if info else utterance
        if not faults:
            faults += _check_duration(checked, checks)
        faults += _check_transcript(checked, checks, known_length=not faults)
        if faults:
            problems += [_problem(manifest.uri, utterance, fault) for fault in faults]
            continue
        usable.append(checked)
        if info:
            conversions.update(_conversions(utterance, info, checks.audio))
        if checks.transcripts_required and not checked.transcript.strip():
            conversions.update([UNTRANSCRIBED])
        if checks.vocabulary and checks.transcripts_required:
            conversions.update([PUT_IN_WORDS] if checks.vocabulary.is_put_in_words(checked.transcript) else [])
        if checks.vocabulary and checks.data.unknown_characters is UnknownCharacters.drop:
            unknown = checks.vocabulary.unknown_characters(checked.transcript)
            dropped.update(unknown)
            conversions.update([CHARACTERS_DROPPED] if unknown else [])
    problems.sort(key=lambda problem: problem.line)
    return replace(
        manifest,
        utterances=usable,
        problems=problems,
        conversions=dict(conversions),
        dropped_characters=dict(dropped),
    )


def _problem(uri: str, utterance: Utterance, fault: _Fault) -> Problem:
    value = fault.value if isinstance(fault.value, str) else shown(fault.value)
    place = (uri, utterance.line, fault.kind, fault.column, value)
    return Problem(*place, fault.reason, fault.remedy, utterance.utterance_id, utterance.user_id)


def _stat(manifests: Sequence[Manifest], data: DataConfig) -> Mapping[str, ObjectInfo | None]:
    if data.probe_audio is ProbeAudio.none:
        return {}
    audio = (([u.audio for u in m.utterances], m.uri) for m in manifests)
    named = dict.fromkeys(uri for each, named_by in audio for uri in allowed(each, named_by, data))
    return storage.stat_many(named, each_alone=True)


def _as_stored(manifest: Manifest, objects: Mapping[str, ObjectInfo | None]) -> Manifest:
    """The manifest with audio under the names that it is stored by, where these are composed or decomposed letters."""

    def name(utterance: Utterance) -> Utterance:
        if isinstance(utterance.audio, bytes):
            return utterance
        uri, excerpt = recording_of(utterance.audio), excerpt_of(utterance.audio)
        info = objects.get(uri)
        if not info or info.uri == uri:
            return utterance
        return replace(utterance, audio=excerpt_uri(info.uri, excerpt) if excerpt else info.uri)

    return replace(manifest, utterances=[name(utterance) for utterance in manifest.utterances])


def _look_at(
    manifests: Sequence[Manifest], data: DataConfig, objects: Mapping[str, ObjectInfo | None]
) -> list[AudioInfo | _Fault | None]:
    """The state of each audio: its header, why it cannot be used, or None where the manifest is trusted."""
    utterances = [u for manifest in manifests for u in manifest.utterances]
    found: list[AudioInfo | _Fault | None] = [_absence(u, m, data, objects) for m in manifests for u in m.utterances]
    wanted = [i for i, u in enumerate(utterances) if found[i] is None and _is_probed(u, data.probe_audio)]
    for i, sound in zip(wanted, measure_all([utterances[i].audio for i in wanted]), strict=True):
        found[i] = (
            sound if isinstance(sound, AudioInfo) else _audio_fault(utterances[i].audio, sound.reason, sound.remedy)
        )
    return found


def _is_probed(utterance: Utterance, policy: ProbeAudio) -> bool:
    if policy is ProbeAudio.near and (isinstance(utterance.audio, bytes) or storage.is_local(utterance.audio)):
        return True
    return policy is ProbeAudio.all or (policy is not ProbeAudio.none and utterance.duration_s is None)


def _absence(
    utterance: Utterance, manifest: Manifest, data: DataConfig, objects: Mapping[str, ObjectInfo | None]
) -> _Fault | None:
    audio = utterance.audio
    refused = storage.why_refused(audio, manifest.uri, data) if isinstance(audio, str) else ""
    if refused:
        return _audio_fault(audio, refused, ALLOW)
    absent = absence(audio, objects)
    return _audio_fault(audio, absent.reason, absent.remedy) if absent else None


def _audio_fault(audio: str | bytes, reason: str, remedy: str) -> _Fault:
    return _Fault(ProblemKind.audio, "audio", audio, reason, remedy)


def _check_duration(utterance: Utterance, checks: _Checks) -> list[_Fault]:
    duration_s, data = utterance.duration_s, checks.data
    if duration_s is None:
        return []
    if duration_s < data.min_duration_s:
        reason = f"shorter than {data.min_duration_s:g} s"
        return [_duration_fault(duration_s, reason, "remove the row or lower data.min_duration_s")]
    is_aligned = data.segment_long and checks.has_aligner and bool(utterance.transcript.strip())
    if duration_s > data.max_duration_s and not is_aligned:
        remedy = "split the recording or raise data.max_duration_s"
        if checks.transcripts_required:
            remedy += f", or {NO_ALIGNER if data.segment_long else SEGMENT_LONG}"
        return [_duration_fault(duration_s, f"longer than {data.max_duration_s:g} s", remedy)]
    return []


def _duration_fault(duration_s: float, reason: str, remedy: str) -> _Fault:
    return _Fault(ProblemKind.audio, "duration_s", f"{duration_s:.3f}", reason, remedy)


def _check_transcript(utterance: Utterance, checks: _Checks, known_length: bool) -> list[_Fault]:
    transcript, vocabulary = utterance.transcript, checks.vocabulary
    if not checks.transcripts_required or (checks.data.unlabelled and not transcript.strip()):
        return []
    if vocabulary is None:
        empty = not transcript.strip()
        return [_transcript_fault(transcript, "is empty", "write down what is said")] if empty else []
    doubts = vocabulary.doubts(transcript)
    if doubts:
        reason = f"cannot be put in words for certain: {'; '.join(doubts)}"
        return [_transcript_fault(transcript, reason, "write down in words what is said")]
    token_ids, unknown = vocabulary.encode_and_tell(transcript)
    if unknown and checks.data.unknown_characters is UnknownCharacters.refuse:
        reason = f"the vocabulary lacks {' '.join(map(describe_character, unknown))}"
        return [_transcript_fault(transcript, reason, remedy_of(unknown, vocabulary.config))]
    if not token_ids:
        reason = "holds no character of the vocabulary" if transcript.strip() else "is empty"
        return [_transcript_fault(transcript, reason, "write down what is said")]
    if not known_length or utterance.duration_s is None or checks.encoding_frames is None:
        return []
    needed = min_ctc_frames(token_ids)
    frames = checks.encoding_frames(round(utterance.duration_s * checks.audio.sample_rate_hz))
    if needed <= frames:
        return []
    reason = f"too long for its audio: needs {needed} frames, {utterance.duration_s:.3f} s of audio give {frames}"
    return [_transcript_fault(transcript, reason, "check that audio and transcript belong together")]


def _transcript_fault(transcript: str, reason: str, remedy: str) -> _Fault:
    return _Fault(ProblemKind.transcript, "transcript", shown(transcript), reason, remedy)


def _conversions(utterance: Utterance, info: AudioInfo, audio: AudioConfig) -> list[str]:
    """The changes that are made to use this audio."""
    names = []
    if info.num_channels > 1:
        names.append(MIXED)
    if info.sample_rate_hz != audio.sample_rate_hz:
        names.append(RESAMPLED)
    if info.sample_rate_hz < audio.sample_rate_hz:
        names.append(SAMPLED_UP)
    names += [info.note] if info.note else []
    said = utterance.duration_s
    if said is not None:
        tolerance_s = max(_DURATION_TOLERANCE_S, _DURATION_TOLERANCE * info.duration_s)
        names += [DURATION_CORRECTED] if abs(said - info.duration_s) > tolerance_s else []
    return names
