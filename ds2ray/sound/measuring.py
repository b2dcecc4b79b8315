"""Measuring many audio files at once: each file once, however many excerpts of it are wanted."""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ds2ray import storage
from ds2ray.errors import InputError, StorageError
from ds2ray.sound.audio import REPLACE, AudioInfo, probe
from ds2ray.sound.formats.part import within
from ds2ray.uris import excerpt_of, recording_of

_THREADS = 16  # headers that are being opened at once


@dataclass(frozen=True)
class Unusable:
    """Why audio cannot be used, and what to do about it."""

    reason: str
    remedy: str


MISSING = Unusable("there is no such file", "correct the path; relative ones start from the manifest")


def measure_all(audio: Sequence[str | bytes]) -> list[AudioInfo | Unusable]:
    """What each URI, also of an excerpt, or each file's bytes holds; or why it cannot be used.

    Raises:
        StorageError: a server cannot be reached or refuses the credentials.
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
    return found


def _of_excerpt(info: AudioInfo | Unusable, audio: str | bytes) -> AudioInfo | Unusable:
    excerpt = None if isinstance(audio, bytes) else excerpt_of(audio)
    if excerpt is None or isinstance(info, Unusable):
        return info
    try:
        return within(info, excerpt)
    except InputError as error:
        return Unusable(str(error), "correct start and end, which count from the beginning of the recording")


def _measured(audio: str | bytes) -> AudioInfo | Unusable:
    try:
        return probe(audio)
    except FileNotFoundError:
        return MISSING
    except InputError as error:
        return Unusable(str(error), REPLACE)
    except StorageError as error:
        if isinstance(audio, str) and storage.is_local(audio):  # one file's permissions, not the whole store
            return Unusable(str(error), "make the file readable")
        raise
