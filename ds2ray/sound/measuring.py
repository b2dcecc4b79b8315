"""Measuring many audio files at once: each file once, however many excerpts of it are wanted."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ds2ray import storage
from ds2ray.errors import InputError, StorageError
from ds2ray.sound.audio import REPLACE, AudioInfo, probe
from ds2ray.sound.channels import Mixer
from ds2ray.sound.formats.opening import opened
from ds2ray.sound.formats.part import within
from ds2ray.storage import AddressFault, ObjectInfo
from ds2ray.uris import excerpt_of, recording_of

_THREADS = 16  # headers that are being opened at once
LISTENED_TO, LISTENED_S = 32, 10.0
"""Recordings of several channels that are listened to, and seconds of each."""
_BLOCK_SAMPLES = 2**16


@dataclass(frozen=True)
class Unusable:
    """Why audio cannot be used, and what to do about it."""

    reason: str
    remedy: str


MISSING = Unusable("there is no such file", "correct the path; relative ones start from the manifest")
EMPTY = Unusable("is empty (0 bytes)", "record it again or remove the row")
NO_BYTES = Unusable("holds no bytes", EMPTY.remedy)


def absence(audio: str | bytes, objects: Mapping[str, ObjectInfo | None]) -> Unusable | None:
    """Why there is no sound, as far as is told without opening it; None where there may well be.

    Args:
        objects: what `storage.stat_many` said of the files, as far as it was asked.
    """
    if isinstance(audio, bytes):
        return None if audio else NO_BYTES
    uri = recording_of(audio)
    if uri not in objects:
        return None
    info = objects[uri]
    if info is None:
        return MISSING
    if info.unreachable:
        return _unreachable(info.unreachable)
    return None if info.size_bytes else EMPTY


def _unreachable(reason: str) -> Unusable:
    if reason.startswith(storage.UNREACHED):
        return Unusable(reason, "correct the address, or run again when it answers")
    return Unusable(reason, "put the file itself there, or remove the row")


def measure_all(audio: Sequence[str | bytes]) -> list[AudioInfo | Unusable]:
    """What each URI, also of an excerpt, or each file's bytes holds; or why it cannot be used.

    Of recordings with several channels some are listened to, so that a note says where a channel is silent or cancels
    another.

    Raises:
        StorageError: the server fails that the store lies on.
    """
    places: defaultdict[str | bytes, list[int]] = defaultdict(list)
    for place, each in enumerate(audio):
        places[each if isinstance(each, bytes) else recording_of(each)].append(place)
    found: list[AudioInfo | Unusable] = [MISSING] * len(audio)
    if not places:
        return found
    with ThreadPoolExecutor(min(_THREADS, len(places))) as pool:
        try:
            for own, info in zip(places.values(), pool.map(_measured, places), strict=True):
                for place in own:
                    found[place] = _of_excerpt(info, audio[place])
        except BaseException:
            pool.shutdown(cancel_futures=True)  # a store that does not answer is not asked for all the others
            raise
    return _with_channel_notes(found, places)


def _with_channel_notes(
    found: Sequence[AudioInfo | Unusable], places: Mapping[str | bytes, Sequence[int]]
) -> list[AudioInfo | Unusable]:
    """What was found, with notes on how channels are mixed: of some recordings, as they have to be heard for it."""
    noted = list(found)
    several = [(audio, own) for audio, own in places.items() if _has_channels(found[own[0]])]
    chosen = several[:: max(1, -(-len(several) // LISTENED_TO))]
    with ThreadPoolExecutor(_THREADS) as pool:
        for (_, own), note in zip(chosen, pool.map(channel_note, [audio for audio, _ in chosen]), strict=True):
            for place in own:
                info = noted[place]
                if note and isinstance(info, AudioInfo):
                    noted[place] = replace(info, note=note)
    return noted


def _has_channels(info: AudioInfo | Unusable) -> bool:
    return isinstance(info, AudioInfo) and info.num_channels > 1


def channel_note(audio: str | bytes) -> str:
    """How the channels of a recording are mixed, by its first seconds; empty where that is ordinary, or they cannot be
    read."""
    mixer, left_s = Mixer(), LISTENED_S
    try:
        with opened(audio) as parts:
            for rate_hz, block in parts[0].decode(_BLOCK_SAMPLES, math.inf):
                mixer.mix(block)
                left_s -= len(block) / rate_hz
                if left_s <= 0:
                    break
    except (FileNotFoundError, InputError, StorageError):
        return ""  # reading the samples says why
    return mixer.note


def _of_excerpt(info: AudioInfo | Unusable, audio: str | bytes) -> AudioInfo | Unusable:
    excerpt = None if isinstance(audio, bytes) else excerpt_of(audio)
    if excerpt is None or isinstance(info, Unusable):
        return info
    try:
        return within(info, excerpt)
    except InputError as error:
        return Unusable(str(error), "correct start and end, which count from the beginning of the recording")


def _measured(audio: str | bytes) -> AudioInfo | Unusable:
    found = storage.asked(audio if isinstance(audio, str) else "", lambda: probe(audio))
    if not isinstance(found, AddressFault):
        return found
    if found.reason == MISSING.reason:
        return MISSING
    return _unreachable(found.reason) if found.may_pass else Unusable(found.reason, REPLACE)
