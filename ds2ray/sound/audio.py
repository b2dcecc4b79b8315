"""Sound in files and bytes: measuring, reading and writing it.

What a file may be stands in `ds2ray.sound.formats`; `.pcm` is raw 16-bit little-endian mono at 16 kHz, and `.raw` the
same in either byte order. A long
recording is read piece by piece with `ds2ray.sound.pieces.read_pieces`.
"""

import io
import math
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
import soundfile

from ds2ray import storage
from ds2ray.config import AudioConfig
from ds2ray.errors import InputError
from ds2ray.sound.channels import Mixer
from ds2ray.sound.excerpts import encoded_excerpt
from ds2ray.sound.formats import ffmpeg, raw
from ds2ray.sound.formats.info import AudioInfo, TooLong
from ds2ray.sound.formats.opening import opened, raw_order, read_file
from ds2ray.sound.formats.part import Part
from ds2ray.sound.pieces import untold
from ds2ray.sound.resampling import resample
from ds2ray.uris import excerpt_of

AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".rf64", ".sph", ".w64"),
    *ffmpeg.SUFFIXES,
    raw.PCM_SUFFIX,
    raw.RAW_SUFFIX,
)
"""How the names of audio files end."""

REPLACE = "replace the file, by wav, flac, ogg, mp3 or raw 16-bit 16 kHz mono .pcm for instance"
"""What to do about a file that cannot be read."""

_BLOCK_SAMPLES = 2**20
"""Samples, over all channels, that are decoded at once: a minute at 16 kHz."""

_WRITTEN_SAMPLES = 2**16


def is_audio(uri: str) -> bool:
    """Whether a file's name ends as that of audio does."""
    return PurePosixPath(uri).suffix.lower() in AUDIO_SUFFIXES


def probe(audio: str | bytes) -> AudioInfo:
    """Measure the audio at a URI or in encoded bytes: its header, where that is exact, else all of it.

    Raises:
        FileNotFoundError: there is nothing at the URI.
        InputError: it is empty, truncated (as far as the header tells) or not audio, with the decoder's reason, or a
            local file that cannot be opened.
    """
    if isinstance(audio, str) and audio.lower().endswith(raw.PCM_SUFFIX) and not storage.is_local(audio):
        return raw.info(_size_bytes(audio))
    with opened(audio) as parts:
        return _joined([part.measure() for part in parts])


def _joined(infos: list[AudioInfo]) -> AudioInfo:
    first = infos[0]
    num_samples = sum(round(info.num_samples * first.sample_rate_hz / info.sample_rate_hz) for info in infos)
    return replace(first, num_channels=max(info.num_channels for info in infos), num_samples=num_samples)


def read_waveform(
    audio: str | bytes,
    sample_rate_hz: int,
    max_duration_s: float = math.inf,
    tell: Callable[[str], None] = untold,
) -> np.ndarray:
    """Decode a URI or encoded bytes to mono at `sample_rate_hz`.

    Channels are mixed so that they do not cancel, see `ds2ray.sound.channels`. Joined recordings are read one after
    another. There are as many samples as can be decoded, whatever a header estimates.

    Args:
        max_duration_s: longer audio is refused, and no more of it decoded.
        tell: told how it was read and its channels mixed, where that is worth a note.

    Returns:
        float32 [num_samples], full scale at -1 and 1.

    Raises:
        FileNotFoundError: there is nothing at the URI.
        InputError: empty, not audio, too long, truncated, or with samples that are not finite; or a local file that
            cannot be opened.
    """
    waveforms, notes, left_s = [], [], max_duration_s
    with opened(audio, at_once=True) as parts:
        for part in parts:
            rate_hz, channels = _decoded(part, left_s, max_duration_s)
            left_s -= len(channels) / rate_hz
            mixer = Mixer()
            waveform = mixer.mix(channels)
            if not np.isfinite(waveform).all():
                raise InputError("holds samples that are not finite")
            waveforms.append(resample(waveform, rate_hz, sample_rate_hz))
            notes += [note for note in (part.note, mixer.note) if note]
    for note in dict.fromkeys(notes):
        tell(note)
    return waveforms[0] if len(waveforms) == 1 else np.concatenate(waveforms)


def _decoded(part: Part, left_s: float, max_duration_s: float) -> tuple[int, np.ndarray]:
    """Sample rate, and float32 [num_samples, C]; refused where it is longer than `left_s`."""
    blocks = []
    num_samples = rate_hz = 0
    try:
        for rate_hz, block in part.decode(_BLOCK_SAMPLES, left_s):
            num_samples += len(block)
            if num_samples / rate_hz > left_s:
                raise TooLong
            blocks.append(block)
    except TooLong:
        raise InputError(f"longer than {max_duration_s:g} s") from None
    return rate_hz, blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def read_encoded(uri: str) -> bytes:
    """The bytes of an audio file, so that they can be read without its name.

    Raw .pcm and .raw get the 44 bytes of a WAV header, and their samples stay as they are; an excerpt becomes a WAV
    file of its own (see `encoded_excerpt`); everything else is returned as stored.

    Raises:
        FileNotFoundError: there is nothing at the URI.
        InputError: raw audio without a sample, an excerpt that cannot be read, or a local file that cannot be opened.
    """
    if excerpt_of(uri):
        return encoded_excerpt(uri)
    data = read_file(uri)
    if uri.lower().endswith(raw.PCM_SUFFIX):
        order = raw.LITTLE
    elif order := raw_order(uri, io.BytesIO(data)):
        data = raw.in_order(data, order)
    else:
        return data
    info = raw.info(len(data))
    with io.BytesIO() as buffer:
        with wave.open(buffer, "wb") as file:
            file.setnchannels(info.num_channels)
            file.setsampwidth(raw.PCM_BYTES_PER_SAMPLE)
            file.setframerate(info.sample_rate_hz)
            file.writeframes(data[: info.num_samples * raw.PCM_BYTES_PER_SAMPLE])
        return buffer.getvalue()


def write_audio(uri: str, waveform: np.ndarray, sample_rate_hz: int) -> None:
    """Write float32 [num_samples] as 16-bit audio; the URI's suffix gives the format (wav, flac, ogg or pcm)."""
    if uri.lower().endswith(raw.PCM_SUFFIX):
        samples = resample(waveform, sample_rate_hz, raw.PCM_SAMPLE_RATE_HZ)
        storage.write_bytes(uri, (np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes())
        return
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", sample_rate_hz, 1, format=uri.rpartition(".")[2].upper()) as file:
        for start in range(0, len(waveform), _WRITTEN_SAMPLES):  # libsndfile dies of a minute of Ogg at once
            file.write(waveform[start : start + _WRITTEN_SAMPLES])
    storage.write_bytes(uri, buffer.getvalue())


def num_feature_frames(num_samples: int, audio: AudioConfig) -> int:
    """Frames of log-mel features that `num_samples` at `audio.sample_rate_hz` give."""
    return 1 + num_samples // round(audio.hop_s * audio.sample_rate_hz)


def _size_bytes(uri: str) -> int:
    info = storage.stat_many([uri])[uri]
    if info is None:
        raise FileNotFoundError(uri)
    return info.size_bytes
