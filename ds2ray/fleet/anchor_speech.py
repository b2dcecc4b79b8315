"""The speech of the anchor: a few minutes out of a manifest of ordinary speech, checked as users' speech is."""

from collections.abc import Sequence
from dataclasses import replace

from ds2ray.config import DataConfig
from ds2ray.errors import InputError
from ds2ray.shapes.shape import Shape
from ds2ray.tables.manifest import Utterance, read_manifest
from ds2ray.tables.problems import listed, reasons_of
from ds2ray.tables.validation import enforce, validate
from ds2ray.text import Vocabulary

ANCHOR_S = 150.0
"""Seconds of speech of an anchor at most."""

LEAST = 3
"""Utterances of an anchor at least: some that training hears, and one that it does not."""

UNKNOWN_S = 10.0
"""Seconds that an utterance without a duration counts as."""

SETTING = "adapt.anchor_manifest"


def anchor_speech(
    uri: str, *, data: DataConfig, shape: Shape, vocabulary: Vocabulary
) -> tuple[list[Utterance], list[str]]:
    """The usable utterances of the anchor, and lines on what is left out of it.

    Raises:
        InputError: the manifest cannot be read, too little of it can be used, or there are problems that the policies
            of `data` do not allow to be left out.
    """
    manifest = read_manifest(uri, encoding=data.encoding)
    manifest = replace(manifest, utterances=spread(manifest.utterances))
    checked = validate(
        manifest,
        data=replace(data, unlabelled=False),
        audio=shape.audio,
        vocabulary=vocabulary,
        encoding_frames=shape.encoding_frames,
    )
    enforce(checked, data)
    left_out = f"; left out: {listed(reasons_of(checked.problems))}" if checked.problems else ""
    if len(checked.utterances) < LEAST:
        raise InputError(
            f"{SETTING}={uri}: {len(checked.utterances)} usable utterances of ordinary speech, at least {LEAST} are "
            f"needed{left_out}; give the manifest that the base was trained on, or leave the setting empty"
        )
    seconds = sum(_duration_s(utterance) for utterance in checked.utterances)
    return checked.utterances, [f"anchor: {len(checked.utterances)} utterances, {seconds:.0f} s, of {uri}{left_out}"]


def spread(utterances: Sequence[Utterance], most_s: float = ANCHOR_S) -> list[Utterance]:
    """Utterances of `most_s` seconds at most, evenly spread over a manifest, so that all its voices are among them."""
    total_s = sum(_duration_s(utterance) for utterance in utterances)
    share = min(1.0, most_s / total_s) if total_s else 1.0
    chosen: list[Utterance] = []
    passed_s = taken_s = 0.0
    for utterance in utterances:
        passed_s += _duration_s(utterance)
        if taken_s + _duration_s(utterance) <= share * passed_s * (1 + 1e-9):
            chosen.append(utterance)
            taken_s += _duration_s(utterance)
    return chosen


def _duration_s(utterance: Utterance) -> float:
    return UNKNOWN_S if utterance.duration_s is None else utterance.duration_s
