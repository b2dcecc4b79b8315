"""Long recordings that are made of sentences with pauses between them."""

from collections.abc import Sequence

import numpy as np

from ds2ray.sound.audio import read_waveform, write_audio
from ds2ray.tables.manifest import Utterance

RATE_HZ = 16000
PAUSE_S = 0.8


def join(path: str, sentences: Sequence[Utterance], pause_s: float = PAUSE_S) -> Utterance:
    """One recording of all sentences, with a pause before, between and after them, and all that is said in it."""
    pause = np.zeros(round(pause_s * RATE_HZ), dtype=np.float32)
    parts = [pause]
    for sentence in sentences:
        parts += [read_waveform(sentence.audio, RATE_HZ), pause]
    recording = np.concatenate(parts)
    write_audio(path, recording, RATE_HZ)
    transcript = " ".join(sentence.transcript for sentence in sentences)
    return Utterance("talk", "ann", path, len(recording) / RATE_HZ, transcript, 2)


def part(recording: Utterance, times: str) -> str:
    """The address of an excerpt of a recording in a file, `0.5,2.25`."""
    assert isinstance(recording.audio, str)
    return f"{recording.audio}#t={times}"


def said(utterances: Sequence[Utterance]) -> list[str]:
    return [utterance.transcript for utterance in utterances]
