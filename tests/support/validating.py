"""Manifests that are written, read and validated."""

import io

import numpy as np
import soundfile

from ds2ray import storage
from ds2ray.config import AudioConfig, DataConfig, ModelConfig, ProbeAudio, TextConfig
from ds2ray.shapes.architectures import shape_of
from ds2ray.tables.manifest import Manifest, read_manifest
from ds2ray.tables.problems import ProblemKind
from ds2ray.tables.validation import validate
from ds2ray.text import Vocabulary

VOCABULARY = Vocabulary.from_transcripts(["abcdefghijklmnopqrstuvwxyz"], TextConfig())
PROBE_ALL = DataConfig(probe_audio=ProbeAudio.all)
PROBE_MISSING = DataConfig(probe_audio=ProbeAudio.missing)


def sound(duration_s: float = 1.0, *, rate_hz: int = 16000, channels: int = 1, suffix: str = "wav") -> bytes:
    samples = np.random.default_rng(0).normal(0, 0.1, (round(duration_s * rate_hz), channels))
    if suffix == "pcm":
        return (samples * 32767).astype("<i2").tobytes()
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=suffix.upper())
    return buffer.getvalue()


def check(
    audio: dict[str, bytes],
    folder_uri: str,
    *,
    data: DataConfig | None = None,
    transcript: str = "hello",
    duration: str = "",
    vocabulary: Vocabulary | None = VOCABULARY,
) -> Manifest:
    """Write audio files and a manifest of all of them, read it and validate it."""
    rows = ["audio,transcript,duration_s"]
    for name, content in audio.items():
        storage.write_bytes(storage.join(folder_uri, name), content)
        rows.append(f"{name},{transcript},{duration}")
    uri = storage.join(folder_uri, "m.csv")
    storage.write_bytes(uri, "\n".join(rows).encode())
    shape = shape_of(ModelConfig(), AudioConfig())
    return validate(
        read_manifest(uri),
        data=data or DataConfig(),
        audio=shape.audio,
        vocabulary=vocabulary,
        encoding_frames=shape.encoding_frames,
    )


def reasons(manifest: Manifest) -> list[tuple[int, ProblemKind, str, str]]:
    return [(problem.line, problem.kind, problem.column, problem.reason) for problem in manifest.problems]
