"""Kaldi's data folders: `wav.scp`, `text` and, where they are there, `utt2spk` and `segments`."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ds2ray import storage
from ds2ray.corpora.listing import encoding_notes, plain_form
from ds2ray.errors import InputError
from ds2ray.tables.default_ids import with_ids
from ds2ray.tables.encodings import Text, read_text
from ds2ray.tables.manifest import Manifest, Utterance
from ds2ray.tables.problems import Problem, ProblemKind, shown
from ds2ray.uris import Excerpt, excerpt_uri

WAV_SCP, TEXT, UTT2SPK, SEGMENTS = "wav.scp", "text", "utt2spk", "segments"
_TO_THE_END = -1
_IN_ARCHIVE = re.compile(r".+:\d+")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of one of these files: a key, and what belongs to it."""

    value: str
    line: int


def read_kaldi(folder_uri: str, audio_root: str = "", encoding: str = "") -> list[Manifest]:
    """A data folder: `wav.scp` names the audio, `text` says what is spoken, `utt2spk` by whom.

    Commands in `wav.scp`, which end in `|`, are never executed: their rows are problems, as are places in archives.
    `segments` says which part of which recording an utterance is.

    Args:
        audio_root: the folder that relative paths start from; empty: the data folder.

    Returns:
        One manifest, whose lines are those of `wav.scp`, or of `segments` where that is there.

    Raises:
        InputError: `wav.scp` or `text` is missing, or a file is in no encoding that can be read.
    """
    texts = {name: _read(storage.join(folder_uri, name), encoding) for name in (WAV_SCP, TEXT, UTT2SPK, SEGMENTS)}
    for name in (WAV_SCP, TEXT):
        if texts[name] is None:
            raise InputError(f"{folder_uri}: there is no {name}, which Kaldi's data folders have")
    recordings, said, speakers, segments = (_entries(text) for text in texts.values())
    root = storage.join(storage.absolute(audio_root or folder_uri), "x")
    table = storage.join(folder_uri, WAV_SCP if texts[SEGMENTS] is None else SEGMENTS)
    manifest = Manifest(table, [], notes=encoding_notes([text for text in texts.values() if text]))
    utterances = []
    for key, (entry, segment) in _utterances(recordings, segments, whole=texts[SEGMENTS] is None).items():
        line = (segment or entry or _Entry("", 1)).line
        fault = _fault_of(entry, segment)
        if not fault and key not in said:
            fault = f"{TEXT} has no line for it", "write down what is said"
        speaker = plain_form(speakers[key].value) if key in speakers else ""
        if fault or entry is None:
            value = (segment or entry or _Entry(key, 1)).value
            place = (table, line, ProblemKind.row, "audio", shown(value))
            manifest.problems.append(Problem(*place, *(fault or ("", "")), key, speaker))
            continue
        audio, duration_s = storage.resolve(entry.value, root), None
        excerpt = _excerpt(segment) if segment else None
        if excerpt:
            audio = excerpt_uri(audio, excerpt)
            duration_s = excerpt.duration_s if math.isfinite(excerpt.end_s) else None
        utterances.append(Utterance(key, speaker, audio, duration_s, said[key].value, line))
    known = recordings if texts[SEGMENTS] is None else segments
    manifest.problems += [
        _problem_of_text(storage.join(folder_uri, TEXT), key, entry) for key, entry in said.items() if key not in known
    ]
    manifest.utterances = with_ids(utterances, table, manifest.problems)
    manifest.problems.sort(key=lambda problem: problem.line)
    return [manifest]


def _utterances(
    recordings: Mapping[str, _Entry], segments: Mapping[str, _Entry], *, whole: bool
) -> dict[str, tuple[_Entry | None, _Entry | None]]:
    """By utterance the recording and the segment that it is in; whole recordings are in none."""
    if whole:
        return {key: (entry, None) for key, entry in recordings.items()}
    return {key: (recordings.get(entry.value.split(" ")[0]), entry) for key, entry in segments.items()}


def _fault_of(entry: _Entry | None, segment: _Entry | None) -> tuple[str, str] | None:
    """Reason and remedy where a recording cannot be used."""
    if entry is None:
        return f"{WAV_SCP} names no such recording", "correct the line or remove it"
    if not entry.value:
        return "no audio is given", "give the path of an audio file"
    if entry.value.endswith("|") or entry.value.startswith("|"):
        return "is a command, which is never executed", "run it once, and name the file that it writes"
    if entry.value == "-":
        return "is standard input, which has no place in a table", "name a file"
    if _IN_ARCHIVE.fullmatch(entry.value):
        return "is a place in an archive", "write the recordings as files (Kaldi: wav-copy), and name these"
    if segment is not None:
        try:
            _excerpt(segment)
        except ValueError as error:
            return str(
                error
            ), f"write `<utterance> <recording> <start> <end>` with seconds, {_TO_THE_END} as the last end"
    return None


def _excerpt(segment: _Entry) -> Excerpt | None:
    """The part of its recording that a line of `segments` names; None: all of it. Raises ValueError for none."""
    times = segment.value.split(" ")[1:]
    if len(times) != 2:
        raise ValueError(f"{len(times)} times, and a start and an end are wanted")
    try:
        start_s, end_s = map(float, times)
    except ValueError:
        raise ValueError("start or end is not a number") from None
    if end_s == _TO_THE_END:
        end_s = math.inf
    if not (0 <= start_s < end_s and math.isfinite(start_s)):
        raise ValueError("does not begin before it ends")
    return Excerpt(start_s, end_s) if start_s > 0 or math.isfinite(end_s) else None


def _problem_of_text(uri: str, key: str, entry: _Entry) -> Problem:
    place = (uri, entry.line, ProblemKind.row, "audio", shown(key))
    return Problem(*place, "no audio is named for it", "add the recording, or remove the line", key)


def _read(uri: str, encoding: str) -> Text | None:
    try:
        return read_text(uri, encoding)
    except FileNotFoundError:
        return None


def _entries(text: Text | None) -> dict[str, _Entry]:
    """The value of each key; of lines with the same key the last counts, as in Kaldi."""
    entries = {}
    for line, content in enumerate(text.content.split("\n") if text else (), start=1):
        key, *rest = content.split(maxsplit=1)[:2] or [""]
        if key:
            entries[key] = _Entry(" ".join(rest[0].split()) if rest else "", line)
    return entries
