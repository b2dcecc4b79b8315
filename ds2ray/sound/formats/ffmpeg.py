"""Decoding with FFmpeg through PyAV, an optional dependency: m4a, AAC, webm and what else libsndfile does not know.

Such files are decoded to be measured: none of their headers is exact.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ds2ray.errors import InputError
from ds2ray.sound.formats import libsndfile
from ds2ray.sound.formats.faults import Watched, decoding
from ds2ray.sound.formats.info import AudioInfo, checked_rate
from ds2ray.sound.formats.part import Part, from_time

if TYPE_CHECKING:
    from av.container import InputContainer

SUFFIXES = (".m4a", ".mp4", ".aac", ".webm", ".mka", ".wma", ".amr", ".3gp")
"""How the names of audio files end that only FFmpeg decodes."""

_TELLING = {"mov", "matroska", "asf"}
"""FFmpeg's names of formats whose header tells the duration; that of others it guesses from the bit rate."""
_TOLERANCE, _TOLERANCE_S = 0.02, 0.2  # share, or seconds where they are more, by which a header may be wrong
_COUNTED_SAMPLES = 2**18  # at once, over all channels, where they are only counted
_MATROSKA = b"\x1a\x45\xdf\xa3"
_ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"
_AMR = b"#!AMR"


class _NotOpened(InputError):
    """FFmpeg does not know what a file is."""


def format_of(head: bytes) -> str:
    """The name of the format that a file of FFmpeg's begins as; empty for any other."""
    if head[4:8] == b"ftyp":
        return "MP4 (m4a)"
    if head[:4] == _MATROSKA:
        return "webm or Matroska"
    if head[:8] == _ASF:
        return "Windows Media"
    if head[:5] == _AMR:
        return "AMR"
    if head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xF6 == 0xF0:  # ADTS: the layer's bits are 0, unlike MP3's
        return "AAC"
    return ""


def is_there() -> bool:
    """Whether PyAV is installed."""
    try:
        import av  # noqa: F401
    except ImportError:
        return False
    return True


def needed(name: str) -> InputError:
    """The message about a file of this format where PyAV is missing."""
    return InputError(f"is {name}, which needs PyAV: install ds2ray[av], or convert it to wav or flac")


def part(file: BinaryIO) -> Part:
    """The first audio stream of a file."""
    return Part(lambda: _measured(file), lambda block, _: _decoded(file, block))


def part_of_last_resort(file: BinaryIO) -> Part:
    """A file that libsndfile decodes, or else, where it knows the format and not the coding, FFmpeg."""

    def measure() -> AudioInfo:
        try:
            return libsndfile.part(file).measure()
        except libsndfile.NotOpened as error:
            with _or(error):
                return _measured(file)

    def decode(block_samples: int, max_duration_s: float) -> Iterator[tuple[int, np.ndarray]]:
        try:
            yield from libsndfile.part(file).decode(block_samples, max_duration_s)
        except libsndfile.NotOpened as error:
            with _or(error):
                yield from _decoded(file, block_samples)

    def decode_from(block_samples: int, start_s: float) -> Iterator[tuple[int, np.ndarray]]:
        try:
            yield from libsndfile.decoded_from(file, block_samples, start_s)
        except libsndfile.NotOpened as error:
            with _or(error):
                yield from from_time(_decoded(file, block_samples), start_s)

    return Part(measure, decode, decode_from)


@contextmanager
def _or(first: InputError) -> Iterator[None]:
    """Raise what libsndfile said where FFmpeg is missing or cannot open the file either."""
    if not is_there():
        raise InputError(f"{first}; perhaps PyAV can: install ds2ray[av]") from first
    try:
        yield
    except _NotOpened:
        raise first from None


def _measured(file: BinaryIO) -> AudioInfo:
    lengths = []
    kind = (0, 0)
    for found_hz, block in _decoded(file, _COUNTED_SAMPLES):
        kind = found_hz, block.shape[1]
        lengths.append(len(block))
    return AudioInfo(*kind, sum(lengths))


def _decoded(file: BinaryIO, block_samples: int) -> Iterator[tuple[int, np.ndarray]]:
    held: list[np.ndarray] = []
    kind: tuple[int, int] | None = None
    num_held = 0
    for rate_hz, block in _frames(file):
        if kind not in (None, (rate_hz, block.shape[1])):
            raise InputError("changes its sample rate or its channels on the way; convert it to wav or flac")
        kind = rate_hz, block.shape[1]
        held.append(block)
        num_held += block.size
        if num_held >= block_samples:
            yield rate_hz, np.concatenate(held)
            held, num_held = [], 0
    if kind is None:
        raise InputError("holds no samples")
    if held:
        yield kind[0], np.concatenate(held)


def _readable_titles(version: str) -> dict[str, Any]:
    """The option of PyAV by which titles in whatever encoding are no fault of a file; from 19 on they never are, and
    there is no such option."""
    return {"metadata_errors": "replace"} if int(version.partition(".")[0]) < 19 else {}


def _frames(file: BinaryIO) -> Iterator[tuple[int, np.ndarray]]:
    """Sample rate and float32 [num_samples, C], frame by frame."""
    import av

    file.seek(0)
    source = Watched(file)
    try:
        with decoding(source):
            container = av.open(source, "r", **_readable_titles(av.__version__))
    except InputError as error:
        raise _NotOpened(str(error)) from error
    decoded_s = 0.0
    with container:
        if not container.streams.audio:
            raise InputError("holds no sound")
        with decoding(source):
            promised_s = _promised_s(container)
            frames = container.decode(container.streams.audio[0])
        while True:
            with decoding(source):
                frame = next(frames, None)
                samples = None if frame is None else frame.to_ndarray()
            if frame is None or samples is None:
                break
            channels = frame.layout.nb_channels
            if not frame.format.is_planar:
                samples = samples.reshape(-1, channels).T
            rate_hz = checked_rate(frame.sample_rate)
            decoded_s += samples.shape[1] / rate_hz
            yield rate_hz, np.ascontiguousarray(_scaled(samples).T)
    if decoded_s < promised_s - max(_TOLERANCE_S, _TOLERANCE * promised_s):
        raise InputError(f"is truncated: {decoded_s:.2f} of {promised_s:.2f} s can be read")


def _promised_s(container: "InputContainer") -> float:
    """Seconds of sound by the header, about, of a format whose header is no estimate; 0: it does not say."""
    import av

    stream = container.streams.audio[0]
    if not _TELLING & set(container.format.name.split(",")):
        return 0.0
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:  # else a film may last longer than its sound
        return container.duration / av.time_base
    return 0.0


def _scaled(samples: np.ndarray) -> np.ndarray:
    """Samples of any type as float32, full scale at -1 and 1."""
    if samples.dtype.kind == "u":
        return (samples.astype(np.float32) - 128.0) / 128.0
    if samples.dtype.kind == "i":
        return (samples / float(-np.iinfo(samples.dtype).min)).astype(np.float32)
    return samples.astype(np.float32)
