"""Synthetic sounds that take as long to read and to train on as speech, for machines without a synthesiser."""

import io
import random
from collections.abc import Sequence

import numpy as np
import soundfile

from benchmarks.speech import Speaker
from ds2ray.config import TextConfig
from ds2ray.tables.manifest import Utterance
from ds2ray.text import Vocabulary

SAMPLE_RATE_HZ = 16000
LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCABULARY = Vocabulary.from_transcripts([f"{LETTERS} '"], TextConfig())
WORDS_PER_S = 2.5
SHORTEST_S, LONGEST_S = 1.0, 15.0


def synthetic_users(count: int, minutes: float, file_format: str) -> list[Speaker]:
    """Users with `minutes` of speech each, as encoded bytes in memory, and without test sentences."""
    return [Speaker(f"user-{number}", _speech(number, 60 * minutes, file_format), []) for number in range(count)]


def _speech(seed: int, seconds: float, file_format: str) -> list[Utterance]:
    draws = random.Random(seed)
    durations_s: list[float] = []
    left_s = seconds
    while left_s > 0:
        durations_s.append(min(max(left_s, SHORTEST_S), draws.uniform(SHORTEST_S, LONGEST_S)))
        left_s -= durations_s[-1]
    return utterances_of(durations_s, seed, file_format)


def utterances_of(durations_s: Sequence[float], seed: int, file_format: str = "flac") -> list[Utterance]:
    """An utterance of each duration, as encoded bytes in memory."""
    draws = random.Random(f"{seed}/sound")
    utterances: list[Utterance] = []
    for duration_s in durations_s:
        waveform = _voiced(duration_s, draws)
        buffer = io.BytesIO()
        soundfile.write(buffer, waveform, SAMPLE_RATE_HZ, format=file_format.upper(), subtype="PCM_16")
        words = max(1, round(duration_s * WORDS_PER_S))
        transcript = " ".join("".join(draws.choices(LETTERS, k=draws.randint(2, 7))) for _ in range(words))
        duration_s = len(waveform) / SAMPLE_RATE_HZ
        utterances.append(
            Utterance(
                f"{seed}-{len(utterances)}", f"user-{seed}", buffer.getvalue(), duration_s, transcript,
                len(utterances) + 1,
            )
        )  # fmt: skip
    return utterances


def _voiced(duration_s: float, draws: random.Random) -> np.ndarray:
    """A wandering tone with overtones and noise, in syllables: float32 [num_samples]."""
    time_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    pitch_hz = draws.uniform(90, 240) * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time_s))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    voice = sum(np.sin(overtone * phase) / overtone for overtone in range(1, 9))
    syllables = np.clip(np.sin(2 * np.pi * draws.uniform(3, 5) * time_s), 0, 1)
    noise = np.random.default_rng(draws.getrandbits(32)).standard_normal(len(time_s))
    return (0.2 * voice * syllables + 0.005 * noise).astype(np.float32)
