"""A little Korean speech in KoSpeech's format."""

from pathlib import Path

import numpy as np

from ds2ray.sound.audio import write_audio

TRANSCRIPTS = ["불 켜 줘", "불 꺼 줘", "문 열어", "문 닫아", "음악 틀어 줘", "음악 꺼", "창문 열어 줘", "창문 닫아 줘"]
SPECIAL_TOKENS = ["<pad>", "<sos>", "<eos>"]


def write_kospeech(folder: Path) -> None:
    """transcripts.txt, a vocabulary CSV and .pcm files in a folder of their own."""
    characters = sorted({character for transcript in TRANSCRIPTS for character in transcript})
    tokens = [*SPECIAL_TOKENS, *characters, "<blank>"]
    (folder / "speech").mkdir(parents=True)
    rows = ["id,char,freq", *(f"{index},{token},0" for index, token in enumerate(tokens))]
    (folder / "cssiri_character_vocabs.csv").write_text("\n".join(rows) + "\n", encoding="utf-8-sig")
    draws = np.random.default_rng(0)
    lines = []
    for index, transcript in enumerate(TRANSCRIPTS):
        path = f"speech/{index:03d}.pcm"
        ids = " ".join(str(tokens.index(character)) for character in transcript)
        lines.append(f"{path}\t{transcript}\t{ids}")
        tones = [200 + 40 * tokens.index(character) for character in transcript]
        time_s = np.arange(800) / 16000
        waveform = np.concatenate([0.3 * np.sin(2 * np.pi * hz * time_s) for hz in tones])
        write_audio(str(folder / path), (waveform + 0.01 * draws.standard_normal(len(waveform))).astype("f4"), 16000)
    (folder / "transcripts.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
