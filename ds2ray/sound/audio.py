"""Sound in files and bytes: header, samples, resampling, writing.

soundfile decodes (wav, flac, ogg, mp3); `.pcm` is raw 16-bit little-endian mono at 16 kHz, as KoSpeech keeps it.
torch is imported only where samples are resampled, so reading headers stays cheap.
"""

import io
import math
import wave
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

import numpy as np
import soundfile

from ds2ray import storage
from ds2ray.config import AudioConfig
from ds2ray.errors import InputError

PCM_SAMPLE_RATE_HZ = 16000
PCM_BYTES_PER_SAMPLE = 2
PCM_SUFFIX = ".pcm"
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", PCM_SUFFIX)
"""How the names of audio files end."""

WAV_UNKNOWN_BYTES = 0x7FFFFFFF  # lengths from here on are placeholders of programs that stream
OGG_LONGEST_PAGE_BYTES = 65307
OGG_LAST_PAGE = 0x04  # flag of a page's header
EMPTY = "is empty (0 bytes)"


@dataclass(frozen=True)
class AudioInfo:
    """What the header of an audio file says. `num_samples` counts per channel."""

    sample_rate_hz: int
    num_channels: int
    num_samples: int

    @property
    def duration_s(self) -> float:
        return self.num_samples / self.sample_rate_hz


def is_audio(uri: str) -> bool:
    """Whether a file's name ends as that of audio does."""
    return PurePosixPath(uri).suffix.lower() in AUDIO_SUFFIXES


def probe(audio: str | bytes) -> AudioInfo:
    """Read the header of a URI or of encoded bytes.

    Raises:
        FileNotFoundError: there is nothing at the URI.
        InputError: it is empty, truncated (as far as the header tells) or not audio, with the decoder's reason.
    """
    if isinstance(audio, str) and audio.lower().endswith(PCM_SUFFIX):
        return _pcm_info(_pcm_size_bytes(audio))
    try:
        with io.BytesIO(audio) if isinstance(audio, bytes) else storage.open_read(audio) as file:
            _refuse_cut(file)
            header = soundfile.info(file)
    except soundfile.LibsndfileError as error:
        raise InputError(f"cannot be decoded as audio ({error.error_string})") from error
    if header.frames <= 0:
        raise InputError("holds no samples")
    return AudioInfo(header.samplerate, header.channels, header.frames)


def read_waveform(audio: str | bytes, sample_rate_hz: int, max_duration_s: float = math.inf) -> np.ndarray:
    """Decode a URI or encoded bytes to mono at `sample_rate_hz`.

    Channels are averaged.

    Args:
        max_duration_s: audio whose header says that it is longer is refused before it is decoded.

    Returns:
        float32 [num_samples], full scale at -1 and 1.

    Raises:
        FileNotFoundError: there is nothing at the URI.
        InputError: empty, not audio, too long, truncated, or with samples that are not finite.
    """
    if isinstance(audio, str) and "#" in audio:
        from ds2ray.packs.references import is_packed, read_packed  # which needs pyarrow

        audio = read_packed(audio) if is_packed(audio) else audio
    data = audio if isinstance(audio, bytes) else storage.read_bytes(audio)
    if isinstance(audio, str) and audio.lower().endswith(PCM_SUFFIX):
        _refuse_long(_pcm_info(len(data)), max_duration_s)
        samples = np.frombuffer(data, dtype="<i2").astype(np.float32) / 32768.0
        return resample(samples, PCM_SAMPLE_RATE_HZ, sample_rate_hz)
    try:
        content = io.BytesIO(data)
        _refuse_cut(content)
        with soundfile.SoundFile(content) as file:
            promised, rate_hz = file.frames, file.samplerate
            _refuse_long(AudioInfo(rate_hz, file.channels, promised), max_duration_s)
            channels = file.read(dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"cannot be decoded as audio ({error.error_string})") from error
    if len(channels) == 0:
        raise InputError("holds no samples")
    if len(channels) < promised:
        raise InputError(f"is truncated: {len(channels)} of {promised} samples can be read")
    samples = channels.mean(axis=1)
    if not np.isfinite(samples).all():
        raise InputError("holds samples that are not finite")
    return resample(samples, rate_hz, sample_rate_hz)


def read_encoded(uri: str) -> bytes:
    """The bytes of an audio file, so that they can be read without its name.

    Raw .pcm gets the 44 bytes of a WAV header, and its samples stay as they are; everything else is returned as stored.

    Raises:
        FileNotFoundError: there is nothing at the URI.
        InputError: raw .pcm that is empty or truncated.
    """
    data = storage.read_bytes(uri)
    if not uri.lower().endswith(PCM_SUFFIX):
        return data
    info = _pcm_info(len(data))
    with io.BytesIO() as buffer:
        with wave.open(buffer, "wb") as file:
            file.setnchannels(info.num_channels)
            file.setsampwidth(PCM_BYTES_PER_SAMPLE)
            file.setframerate(info.sample_rate_hz)
            file.writeframes(data)
        return buffer.getvalue()


def write_audio(uri: str, waveform: np.ndarray, sample_rate_hz: int) -> None:
    """Write float32 [num_samples] as 16-bit audio; the URI's suffix gives the format (wav, flac, ogg or pcm)."""
    if uri.lower().endswith(PCM_SUFFIX):
        samples = resample(waveform, sample_rate_hz, PCM_SAMPLE_RATE_HZ)
        storage.write_bytes(uri, (np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes())
        return
    buffer = io.BytesIO()
    file_format = uri.rpartition(".")[2].upper()
    soundfile.write(buffer, waveform, sample_rate_hz, format=file_format)
    storage.write_bytes(uri, buffer.getvalue())


def resample(waveform: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Band-limited resampling of float32 [num_samples]."""
    if from_hz == to_hz:
        return waveform
    import torch
    from torchaudio.functional import resample as resample_tensor

    samples = torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32))
    return resample_tensor(samples, from_hz, to_hz).numpy()


def change_speed(waveform: np.ndarray, speed: float) -> np.ndarray:
    """Play float32 [num_samples] `speed` times as fast: shorter and higher for speeds above 1."""
    return resample(waveform, round(speed * 1000), 1000)


def num_feature_frames(num_samples: int, audio: AudioConfig) -> int:
    """Frames of log-mel features that `num_samples` at `audio.sample_rate_hz` give."""
    return 1 + num_samples // round(audio.hop_s * audio.sample_rate_hz)


def _pcm_size_bytes(uri: str) -> int:
    info = storage.stat_many([uri])[uri]
    if info is None:
        raise FileNotFoundError(uri)
    return info.size_bytes


def _pcm_info(size_bytes: int) -> AudioInfo:
    if size_bytes == 0:
        raise InputError(EMPTY)
    if size_bytes % PCM_BYTES_PER_SAMPLE:
        raise InputError(f"is truncated: {size_bytes} bytes are not whole 16-bit samples")
    return AudioInfo(PCM_SAMPLE_RATE_HZ, 1, size_bytes // PCM_BYTES_PER_SAMPLE)


def _refuse_long(info: AudioInfo, max_duration_s: float) -> None:
    if info.duration_s > max_duration_s:
        raise InputError(f"longer than {max_duration_s:g} s")


def _refuse_cut(file: BinaryIO) -> None:
    """Refuse empty files, and cut ones in formats whose decoder takes what is left for all of it."""
    header = file.read(12)
    size_bytes = file.seek(0, io.SEEK_END)
    if not header:
        raise InputError(EMPTY)
    if header[:4] == b"RIFF" and header[8:] == b"WAVE":
        promised = 8 + int.from_bytes(header[4:8], "little")
        # programs that write to a pipe do not know the length and put the highest number there, or one close to it;
        # some count a padding byte that they do not write
        if promised < WAV_UNKNOWN_BYTES and promised > size_bytes + 1:
            raise InputError(f"is truncated: {size_bytes} of {promised} bytes are there")
    if header[:4] == b"OggS":
        file.seek(max(0, size_bytes - OGG_LONGEST_PAGE_BYTES))
        tail = file.read()
        page = tail[tail.rfind(b"OggS") :]
        segments = page[26] if len(page) > 26 else 0
        page_bytes = 27 + segments + sum(page[27 : 27 + segments])
        if len(page) < page_bytes or not page[5] & OGG_LAST_PAGE:
            raise InputError(f"is truncated: its {size_bytes} bytes do not hold the last page")
    file.seek(0)
