"""Speech as it is recorded: silence or faint noise around it, sentences run together, telephones, clipping; and
recordings in which nobody speaks.

Shapes: S samples of an utterance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ds2ray import storage
from ds2ray.sound.audio import read_waveform, resample, write_audio
from ds2ray.tables.manifest import Utterance

RATE_HZ = 16000
TELEPHONE_HZ = 8000
AROUND_S = (0.25, 0.5, 1.0, 2.0)
FAINT = 10 ** (-60 / 20)
"""Root mean square of noise that is 60 dB below full scale."""
DRIVE = 4.0
"""How far a clipped recording's peak would lie above full scale."""
PAUSES_S = (0.2, 0.8)
"""Shortest and longest pause between the sentences of a long recording."""

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""float32 [S] → float32 [S']."""


@dataclass(frozen=True)
class Condition:
    """One way to record.

    Attributes:
        change: what becomes of a sentence.
        rate_hz: of the file.
        joined: sentences of one speaker that run together.
    """

    name: str
    change: Change = lambda speech, draws: speech
    rate_hz: int = RATE_HZ
    joined: int = 1


def silence_around(seconds: float, level: float = 0.0) -> Change:
    """Digital silence, or noise of a root mean square, on each side."""

    def change(speech: np.ndarray, draws: np.random.Generator) -> np.ndarray:
        sides = level * draws.standard_normal((2, round(seconds * RATE_HZ)))
        return np.concatenate([sides[0], speech, sides[1]]).astype(np.float32)

    return change


def clipped(speech: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """As a recorder does whose input is set too high."""
    return np.clip(speech * (DRIVE / np.abs(speech).max()), -1, 1).astype(np.float32)


def narrowband(speech: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """At the rate of telephones."""
    return resample(speech, RATE_HZ, TELEPHONE_HZ)


CONDITIONS = (
    Condition("clean"),
    *(Condition(f"pad_{seconds:g}", silence_around(seconds)) for seconds in AROUND_S),
    *(Condition(f"noise_{seconds:g}", silence_around(seconds, FAINT)) for seconds in AROUND_S),
    Condition("joined", joined=2),
    Condition("narrowband", narrowband, TELEPHONE_HZ),
    Condition("clipped", clipped),
)


def recorded(utterances: Sequence[Utterance], condition: Condition, folder: str) -> list[Utterance]:
    """Utterances under a condition, as files in `folder`; those left over where sentences are joined are left out."""
    draws = np.random.default_rng(0)
    rows = []
    for number, parts in enumerate(_grouped(utterances, condition.joined)):
        speech = np.concatenate([read_waveform(part.audio, RATE_HZ) for part in parts])
        waveform = condition.change(speech, draws)
        uri = storage.join(folder, f"{condition.name}-{number:04d}.wav")
        write_audio(uri, waveform, condition.rate_hz)
        transcript = " ".join(part.transcript for part in parts)
        rows.append(replace(parts[0], audio=uri, duration_s=len(waveform) / condition.rate_hz, transcript=transcript))
    return rows


def long_recording(utterances: Sequence[Utterance], seconds: float, uri: str) -> list[Utterance]:
    """One speaker's sentences over and over, with pauses, in one file; returns them as they follow each other in it."""
    draws = np.random.default_rng(0)
    waveforms = [read_waveform(utterance.audio, RATE_HZ) for utterance in utterances]
    parts: list[np.ndarray] = []
    said: list[Utterance] = []
    length = 0
    while length < seconds * RATE_HZ:
        for place in draws.permutation(len(utterances)):
            pause = FAINT * draws.standard_normal(round(draws.uniform(*PAUSES_S) * RATE_HZ))
            parts += [waveforms[place], pause.astype(np.float32)]
            said.append(utterances[place])
            length += len(parts[-2]) + len(parts[-1])
            if length >= seconds * RATE_HZ:
                break
    write_audio(uri, np.concatenate(parts), RATE_HZ)
    return said


def silent_clips(folder: str) -> list[str]:
    """Ten recordings in which nobody speaks: digital silence, hiss and rumble of some levels, hum and clicks."""
    draws = np.random.default_rng(0)
    clips: list[np.ndarray] = [np.zeros(round(seconds * RATE_HZ)) for seconds in (0.5, 2.0, 5.0)]
    for level_db, seconds in ((-80, 2.0), (-60, 5.0), (-40, 5.0), (-20, 5.0)):
        clips.append(10 ** (level_db / 20) * draws.standard_normal(round(seconds * RATE_HZ)))
    rumble = np.cumsum(draws.standard_normal(5 * RATE_HZ))
    rumble -= np.convolve(rumble, np.full(800, 1 / 800), mode="same")
    clips.append(0.01 * rumble / rumble.std())
    times_s = np.arange(5 * RATE_HZ) / RATE_HZ
    clips.append(0.01 * np.sum([np.sin(2 * np.pi * 50 * k * times_s) / k for k in range(1, 6)], axis=0))
    clicks = FAINT * draws.standard_normal(5 * RATE_HZ)
    clicks[draws.integers(0, len(clicks), 8)] = 0.5
    clips.append(clicks)
    uris = []
    for number, clip in enumerate(clips):
        uris.append(storage.join(folder, f"silent-{number}.wav"))
        write_audio(uris[-1], np.clip(clip, -1, 1).astype(np.float32), RATE_HZ)
    return uris


def _grouped(utterances: Sequence[Utterance], size: int) -> list[list[Utterance]]:
    """Utterances in groups of one speaker each, in their order."""
    groups = []
    for user in dict.fromkeys(utterance.user_id for utterance in utterances):
        own = [utterance for utterance in utterances if utterance.user_id == user]
        groups += [own[start : start + size] for start in range(0, len(own) - size + 1, size)]
    return groups
