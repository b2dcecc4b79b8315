"""A stretch of a file that one decoder reads from its beginning to its end, and the part of it between two times."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ds2ray.errors import InputError
from ds2ray.sound.formats.info import AudioInfo, TooLong
from ds2ray.uris import Excerpt

OVERSHOOT_S = 0.5
"""So much later than its recording an excerpt may end, and is cut there; Kaldi allows as much."""

_EMPTY = "holds no samples between its times ({})"

Blocks = Iterator[tuple[int, np.ndarray]]
"""Sample rate and float32 [num_samples, C], block by block."""


@dataclass(frozen=True)
class Part:
    """One recording of a file; most files hold one, joined ones several.

    Attributes:
        measure: gives its rate, channels and exact number of samples, with as little reading as its format allows.
        decode: gives it in blocks of so many numbers at most, float32 [num_samples, C], each with the sample rate. An
            error comes where the damage is, and TooLong before anything is decoded where the header is exact and says
            that there are more than so many seconds.
        decode_from: gives it in such blocks from a time in seconds on, without decoding what comes before; None: the
            format cannot be sought.
        note: how it is read, where that is not certain.
    """

    measure: Callable[[], AudioInfo]
    decode: Callable[[int, float], Blocks]
    decode_from: Callable[[int, float], Blocks] | None = None
    note: str = ""


def first_sample(start_s: float, sample_rate_hz: int) -> int:
    """The sample that begins at a time."""
    return round(start_s * sample_rate_hz)


def within(info: AudioInfo, excerpt: Excerpt) -> AudioInfo:
    """What an excerpt of a recording holds.

    Raises:
        InputError: it begins or ends after the recording.
    """
    first, last = first_sample(excerpt.start_s, info.sample_rate_hz), info.num_samples
    if math.isfinite(excerpt.end_s):
        last = min(last, first_sample(excerpt.end_s, info.sample_rate_hz))
    _require_inside(excerpt, info.duration_s, holds_any=first < last)
    return replace(info, num_samples=last - first)


def between(parts: Sequence[Part], excerpt: Excerpt) -> list[Part]:
    """The recordings of a file between two times, or what of them lies there. Raises as `within` does."""
    if len(parts) == 1:
        return [_between(parts[0], excerpt)]
    found, start_s = [], 0.0
    for part in parts:
        duration_s = part.measure().duration_s
        own = Excerpt(max(0.0, excerpt.start_s - start_s), min(duration_s, excerpt.end_s - start_s))
        if own.start_s < own.end_s:
            found.append(_between(part, own))
        start_s += duration_s
    _require_inside(excerpt, start_s, holds_any=bool(found))
    return found


def from_time(blocks: Blocks, start_s: float) -> Blocks:
    """What of these blocks of a whole recording lies after a time."""
    place = 0
    for rate_hz, block in blocks:
        unwanted = max(0, first_sample(start_s, rate_hz) - place)
        place += len(block)
        if unwanted < len(block):
            yield rate_hz, block[unwanted:]


def _require_inside(excerpt: Excerpt, duration_s: float, *, holds_any: bool) -> None:
    late = f"after the end of the recording, which lasts {duration_s:.3f} s"
    if not holds_any and excerpt.start_s < duration_s:
        raise InputError(_EMPTY.format(excerpt))
    if not holds_any:
        raise InputError(f"begins at {excerpt.start_s:g} s, {late}")
    if excerpt.end_s > duration_s + OVERSHOOT_S and math.isfinite(excerpt.end_s):
        raise InputError(f"ends at {excerpt.end_s:g} s, {late}")


def _between(part: Part, excerpt: Excerpt) -> Part:
    return Part(
        lambda: within(part.measure(), excerpt),
        lambda block_samples, max_duration_s: _decoded(part, excerpt, block_samples, max_duration_s),
        note=part.note,
    )


def _decoded(part: Part, excerpt: Excerpt, block_samples: int, max_duration_s: float) -> Blocks:
    has_end = math.isfinite(excerpt.end_s)
    if has_end and excerpt.duration_s > max_duration_s:
        raise TooLong
    place = rate_hz = num_given = 0
    for rate_hz, block in _blocks_from(part, excerpt.start_s, block_samples):
        place = place or first_sample(excerpt.start_s, rate_hz)
        last = first_sample(excerpt.end_s, rate_hz) if has_end else place + len(block)
        if place < last:
            num_given += len(block[: last - place])
            yield rate_hz, block[: last - place]
        place += len(block)
        if has_end and place >= last:
            break
    else:
        duration_s = place / rate_hz if place else part.measure().duration_s
        _require_inside(excerpt, duration_s, holds_any=num_given > 0)
    if num_given == 0:
        raise InputError(_EMPTY.format(excerpt))


def _blocks_from(part: Part, start_s: float, block_samples: int) -> Blocks:
    if part.decode_from is None or start_s == 0:
        return from_time(part.decode(block_samples, math.inf), start_s)
    return part.decode_from(block_samples, start_s)
