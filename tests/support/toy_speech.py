"""Speech that a minimal model can learn in seconds: every letter is a tone of its own, a space is silence."""

import random
from pathlib import Path

import numpy as np

from ds2ray.config import AudioConfig, ModelConfig, TextConfig
from ds2ray.sound.audio import write_audio
from ds2ray.tables.manifest import Utterance
from ds2ray.text import Vocabulary

SAMPLE_RATE_HZ = 16000
LETTERS = "abcd"
MODEL = ModelConfig(conv_channels=4, num_rnn_layers=1, rnn_hidden_dim=24, dropout=0.0)
AUDIO = AudioConfig(num_mels=16)
VOCABULARY = Vocabulary.from_transcripts([f"{LETTERS} "], TextConfig())


def speak(transcript: str, seed: int = 0, pitch: float = 1.0) -> np.ndarray:
    """A waveform float32 [num_samples] in which each letter takes 0.1 to 0.14 s."""
    draws = np.random.default_rng(seed)
    parts = []
    for letter in transcript:
        time_s = np.arange(int(draws.uniform(0.10, 0.14) * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        frequency_hz = pitch * 300 * 2 ** LETTERS.find(letter)
        loudness = 0.0 if letter == " " else 0.3
        parts.append(loudness * np.sin(2 * np.pi * frequency_hz * time_s))
    noise = 0.003 * draws.standard_normal(sum(map(len, parts)))
    return (np.concatenate(parts) + noise).astype(np.float32)


def sentence(draws: random.Random) -> str:
    """A text of one to three words of one to three letters, without a letter twice in a row."""
    words = ["".join(draws.sample(LETTERS, draws.randint(1, 3))) for _ in range(draws.randint(1, 3))]
    return " ".join(words)


def make_utterances(
    folder: Path, count: int, seed: int = 0, pitch: float = 1.0, suffix: str = "wav"
) -> list[Utterance]:
    """Write `count` audio files and return them as utterances with exact durations."""
    draws = random.Random(seed)
    utterances = []
    for index in range(count):
        transcript = sentence(draws)
        waveform = speak(transcript, seed=1000 * seed + index, pitch=pitch)
        path = folder / f"{seed}-{index:03d}.{suffix}"
        write_audio(str(path), waveform, SAMPLE_RATE_HZ)
        duration_s = len(waveform) / SAMPLE_RATE_HZ
        utterances.append(Utterance(path.stem, "", str(path), duration_s, transcript, index + 2))
    return utterances
