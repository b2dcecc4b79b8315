"""Speech from text: the espeak-ng library and voices of the `espeakng-loader` wheel."""

import json
import struct
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ds2ray.demo import espeak_worker
from ds2ray.errors import Ds2RayError, InputError

_UINT32 = struct.Struct("<I")


@dataclass(frozen=True)
class Voice:
    """A way of speaking."""

    language: str  # accent, by espeak-ng's name: en-us, en (British), en-gb-scotland, en-029 (Caribbean), ko …
    variant: str = ""  # timbre, by espeak-ng's name: m1 to m8, f1 to f5, croak, …; empty: the language's own
    rate_wpm: int = 150  # words a minute, 80 to 450
    pitch: int = 50  # 0 to 99
    pitch_range: int = 50  # 0 (monotone) to 99 (lively)


def synthesise(requests: Iterable[tuple[str, Voice]]) -> tuple[list[np.ndarray], int]:
    """Speak each text with its voice.

    The sound of an utterance depends on its text and voice alone, not on what was spoken before it.

    Returns:
        One float32 [num_samples] waveform per request, full scale at -1 and 1, and their sample rate in Hz.

    Raises:
        InputError: espeak-ng has no such voice, or cannot say the text.
        Ds2RayError: espeak-ng is not installed, or does not run here.
    """
    library_path, data_path = _installation()
    lines = []
    for text, voice in requests:
        if voice.variant and not (Path(data_path) / "voices" / "!v" / voice.variant).is_file():
            raise InputError(f"espeak-ng has no voice variant {voice.variant!r}")  # it would leave the variant out
        name = f"{voice.language}+{voice.variant}" if voice.variant else voice.language
        lines.append(json.dumps([text, name, voice.rate_wpm, voice.pitch, voice.pitch_range]) + "\n")
    worker = subprocess.run(
        [sys.executable, "-I", "-S", espeak_worker.__file__, library_path, data_path],
        input="".join(lines).encode(),
        capture_output=True,
        check=False,
    )
    said = worker.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    if worker.returncode == espeak_worker.REFUSED_STATUS:
        raise InputError(said)
    if worker.returncode != 0:
        raise Ds2RayError(f"espeak-ng does not run here (exit status {worker.returncode}): {said}")
    return _waveforms(worker.stdout)


def _installation() -> tuple[str, str]:
    """Paths of espeak-ng's library and data."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise Ds2RayError(
            "the demo corpus is spoken by espeak-ng, which is not installed: install the extra, ds2ray[demo]"
        ) from error
    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()


def _waveforms(replies: bytes) -> tuple[list[np.ndarray], int]:
    (sample_rate_hz,) = _UINT32.unpack_from(replies)
    waveforms = []
    offset = _UINT32.size
    while offset < len(replies):
        (size_bytes,) = _UINT32.unpack_from(replies, offset)
        offset += _UINT32.size
        samples = np.frombuffer(replies, dtype="<i2", count=size_bytes // 2, offset=offset)
        waveforms.append(samples.astype(np.float32) / 32768.0)
        offset += size_bytes
    return waveforms, sample_rate_hz
