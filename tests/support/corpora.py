"""Corpora as they are published, in small: real audio files with the tables that go with them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ds2ray.sound.audio import write_audio

SAMPLE_RATE_HZ = 16000


def write_tone(
    path: Path, duration_s: float = 0.5, pitch_hz: float = 300.0, sample_rate_hz: int = SAMPLE_RATE_HZ
) -> str:
    """A tone in the format that the suffix names; its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time_s = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
    write_audio(str(path), (0.3 * np.sin(2 * np.pi * pitch_hz * time_s)).astype(np.float32), sample_rate_hz)
    return str(path)


def write_librispeech(folder: Path) -> None:
    """Three utterances of two speakers in two chapters of `train-clean-5`."""
    for speaker, chapter, texts in (("19", "198", ["NORTHANGER ABBEY", "THIS LITTLE WORK"]), ("26", "495", ["A DAY"])):
        place = folder / "train-clean-5" / speaker / chapter
        ids = [f"{speaker}-{chapter}-{number:04d}" for number in range(len(texts))]
        for number, utterance_id in enumerate(ids):
            write_tone(place / f"{utterance_id}.flac", 0.5 + 0.1 * number, 200 + 100 * number)
        lines = [f"{utterance_id} {text}\n" for utterance_id, text in zip(ids, texts, strict=True)]
        (place / f"{speaker}-{chapter}.trans.txt").write_text("".join(lines))


def write_common_voice(folder: Path, tables: Mapping[str, Sequence[str]]) -> None:
    """A release with three clips of two speakers, and tables by name, each with these rows after the header."""
    for number in range(3):
        write_tone(folder / "clips" / f"common_voice_en_{number}.mp3", 0.6, 200 + 100 * number, 32000)
    for name, rows in tables.items():
        header = "client_id\tpath\tsentence\tup_votes"
        (folder / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


COMMON_VOICE_ROWS = (
    'aa\tcommon_voice_en_0.mp3\tShe said "hello", twice.\t2',
    "aa\tcommon_voice_en_1.mp3\tIt's late.\t2",
    "bb\tcommon_voice_en_2.mp3\tGood night.\t3",
)


def write_users(folder: Path, num_users: int, num_utterances: int = 2) -> str:
    """A manifest with a user_id column and its audio; the manifest's path."""
    rows = ["utterance_id,user_id,audio,transcript"]
    for user in range(num_users):
        for number in range(num_utterances):
            name = f"audio/u{user:03d}-{number}.wav"
            write_tone(folder / name, 0.3, 200 + 5 * user + 50 * number, 8000)
            rows.append(f"u{user:03d}-{number},u{user:03d},{name},sentence {number}")
    (folder / "corpus.csv").write_text("\n".join(rows) + "\n")
    return str(folder / "corpus.csv")
