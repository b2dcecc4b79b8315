"""Cuts of lhotse, each a row of JSON: read where a cut is a recording that lies in one file, or a part of one."""

import math
from collections.abc import Mapping
from typing import Any

_TOLERANCE_S = 0.01  # that a cut may be shorter than its recording


def is_cut(values: Mapping[str, Any]) -> bool:
    """Whether an object is a cut: of a recording or of features, or mixed of others."""
    mixed = "tracks" in values and values.get("type") in ("MixedCut", "PaddingCut")
    return mixed or ("supervisions" in values and not {"recording", "features", "start"}.isdisjoint(values))


def row_of_cut(cut: Mapping[str, Any]) -> dict[str, Any]:
    """The cut as a row of a manifest.

    Raises:
        ValueError: it is mixed of others, outside its recording, without audio, of several speakers, or its audio is
            the output of a command, which is never executed.
    """
    recording = cut.get("recording")
    if "tracks" in cut:
        raise ValueError("the cut is mixed of others")
    if not isinstance(recording, dict):
        raise ValueError("the cut has features, but no recording")
    start_s, duration_s = _seconds(cut, "start"), _seconds(cut, "duration")
    whole_s = _seconds(recording, "duration")
    is_part = start_s > _TOLERANCE_S or (0 < duration_s < whole_s - _TOLERANCE_S)
    if start_s < 0 or (is_part and 0 < whole_s <= start_s):
        raise ValueError(f"begins at {start_s:g} s, outside its recording of {whole_s:g} s")
    supervisions = [each for each in cut["supervisions"] or [] if isinstance(each, dict)]
    speakers = {str(each["speaker"]) for each in supervisions if each.get("speaker") is not None}
    if len(speakers) > 1:
        raise ValueError(f"the cut has several speakers ({', '.join(sorted(speakers))})")
    texts = [str(each["text"]) for each in sorted(supervisions, key=_start_s) if each.get("text") is not None]
    return {
        "utterance_id": cut.get("id"),
        "user_id": next(iter(speakers), None),
        "audio": _audio_of(recording),
        "duration_s": duration_s or None,
        "start_s": start_s if is_part else None,
        "transcript": " ".join(texts) if texts else None,
    }


def _audio_of(recording: Mapping[str, Any]) -> str:
    """The place of a recording's only file."""
    sources = [source for source in recording.get("sources") or [] if isinstance(source, dict)]
    if len(sources) != 1:
        raise ValueError(f"the recording has {len(sources)} sources, and one is wanted")
    kind, source = sources[0].get("type"), sources[0].get("source")
    if kind == "command":
        raise ValueError(f"the audio is the output of a command, which is never executed: {source}")
    if kind not in ("file", "url") or not isinstance(source, str) or not source:
        raise ValueError(f"the audio's source is no file, but {kind}")
    return source


def _start_s(supervision: Mapping[str, Any]) -> float:
    return _seconds(supervision, "start")


def _seconds(values: Mapping[str, Any], name: str) -> float:
    value = values.get(name, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is not a number: {value!r}")
    return float(value)
