"""People's recordings as a base learns from them: cut at pauses, and quick to read in every epoch."""

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import soundfile

from ds2ray.config import AudioConfig
from ds2ray.sound.audio import read_waveform
from ds2ray.sound.cutting import cut_all
from ds2ray.sound.segments import SegmentRules
from ds2ray.tables.manifest import Utterance

RULES = SegmentRules(max_s=30.0, least_s=0.0)
"""Every pause of 0.3 s or more is cut down to that."""


def cut_at_pauses(utterances: Sequence[Utterance]) -> list[Utterance]:
    """Utterances without what is silent for long. Where no speech is found, the whole recording stays."""
    rate_hz = AudioConfig.sample_rate_hz
    waveforms = [read_waveform(utterance.audio, rate_hz) for utterance in utterances]
    found = cut_all(waveforms, rate_hz, RULES)
    return [
        _encoded(utterance, np.concatenate([segment.waveform for segment in segments]) if segments else waveform)
        for utterance, waveform, segments in zip(utterances, waveforms, found, strict=True)
    ]


def _encoded(utterance: Utterance, waveform: np.ndarray) -> Utterance:
    """The utterance with this waveform, float32 [num_samples] at 16 kHz, as a WAV file in memory."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, AudioConfig.sample_rate_hz, format="WAV", subtype="PCM_16")
    return replace(utterance, audio=buffer.getvalue(), duration_s=len(waveform) / AudioConfig.sample_rate_hz)
