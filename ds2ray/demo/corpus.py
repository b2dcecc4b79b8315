"""The demo's corpus: spoken commands of a few base speakers, and of users who speak differently."""

import csv
import hashlib
import io
import os
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from ds2ray import storage
from ds2ray.demo.espeak import Voice, synthesise
from ds2ray.demo.grammar import ENGLISH, KOREAN, Grammar
from ds2ray.sound.audio import read_waveform, resample, write_audio
from ds2ray.tables.manifest import Utterance, write_manifest

SAMPLE_RATE_HZ = 16000
DONE_FILE = "corpus.json"  # written last: with it the corpus is complete

ENGLISH_BASE = {
    "alice": Voice("en-us", "f2", rate_wpm=165, pitch=50),
    "ben": Voice("en-us", "m3", rate_wpm=160, pitch=45),
    "carol": Voice("en", "f4", rate_wpm=160, pitch=50),
    "dave": Voice("en", "m1", rate_wpm=165, pitch=50),
    "emma": Voice("en-us", "f3", rate_wpm=170, pitch=55),
}
ENGLISH_USERS = {
    "fiona": Voice("en-gb-scotland", "f3", rate_wpm=155, pitch=65),
    "winston": Voice("en-029", "m5", rate_wpm=145, pitch=35),
    "beatrice": Voice("en-gb-x-rp", "f5", rate_wpm=150, pitch=75, pitch_range=70),
    "gary": Voice("en-gb-x-gbcwmd", "m7", rate_wpm=180, pitch=40),
    "tony": Voice("en-us-nyc", "m8", rate_wpm=190, pitch=30),
    "edith": Voice("en-gb-x-gbclan", "grandma", rate_wpm=135, pitch=60),
    "hank": Voice("en-us-nyc", "croak", rate_wpm=150, pitch=25, pitch_range=20),
    "grace": Voice("en-029", "belinda", rate_wpm=175, pitch=80),
}
KOREAN_BASE = {
    "jiho": Voice("ko", "m3", rate_wpm=160),
    "sora": Voice("ko", "f2", rate_wpm=165),
    "minsu": Voice("ko", "m1", rate_wpm=170),
}
KOREAN_USERS = {
    "younghee": Voice("ko", "grandma", rate_wpm=130, pitch=65),
    "taeho": Voice("ko", "croak", rate_wpm=185, pitch=30),
}


@dataclass(frozen=True)
class DemoCorpus:
    """The demo's corpus: URIs of its parts. No sentence is in two parts."""

    root: str
    train_manifest: str  # the base speakers
    valid_manifest: str  # the base speakers
    users_csv: str  # `user_id,manifest`: what each user gives for adaptation
    test_manifest: str  # all users, by the column user_id
    user_ids: tuple[str, ...]


@dataclass(frozen=True)
class Session:
    """The sentences that one speaker says for one part of the corpus."""

    part: str  # train, valid, adapt or test
    speaker: str
    voice: Voice
    sentences: tuple[str, ...]


def speak(text: str, voice: Voice) -> np.ndarray:
    """Speak one text; always the same samples for the same text and voice.

    Returns:
        float32 [num_samples] at SAMPLE_RATE_HZ, full scale at -1 and 1.
    """
    waveforms, rate_hz = synthesise([(text, voice)])
    return resample(waveforms[0], rate_hz, SAMPLE_RATE_HZ)


def make_corpus(
    output_dir: str,
    *,
    num_train_sentences: int = 400,
    num_valid_sentences: int = 40,
    num_user_sentences: int = 40,
    num_test_sentences: int = 25,
    seed: int = 0,
    korean: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> DemoCorpus:
    """Write a corpus of FLAC files and manifests to `output_dir` (a URI), unless the same corpus is there.

    Args:
        num_train_sentences: of all base speakers together; num_valid_sentences likewise.
        num_user_sentences: of each user, for adaptation; num_test_sentences likewise, for the test.
        korean: Korean commands and speakers in place of the English ones.
        progress: called with the numbers of utterances written and of all.

    Raises:
        InputError: more different sentences are asked for than the grammar has.
        Ds2RayError: espeak-ng is not installed.
    """
    grammar, base, users = (KOREAN, KOREAN_BASE, KOREAN_USERS) if korean else (ENGLISH, ENGLISH_BASE, ENGLISH_USERS)
    counts = {
        "train": num_train_sentences,
        "valid": num_valid_sentences,
        "adapt": num_user_sentences,
        "test": num_test_sentences,
    }
    corpus = DemoCorpus(
        root=output_dir,
        train_manifest=storage.join(output_dir, "train.csv"),
        valid_manifest=storage.join(output_dir, "valid.csv"),
        users_csv=storage.join(output_dir, "users.csv"),
        test_manifest=storage.join(output_dir, "test.csv"),
        user_ids=tuple(users),
    )
    done_uri = storage.join(output_dir, DONE_FILE)
    recipe = hashlib.sha256(repr((grammar, base, users)).encode()).hexdigest()
    parameters = {"sentences": counts, "seed": seed, "korean": korean, "recipe": recipe}
    if storage.exists(done_uri):
        if storage.read_json(done_uri) == parameters:
            return corpus
        storage.delete(done_uri)
    sessions = _sessions(grammar, base, users, counts, seed)
    num_all = sum(len(session.sentences) for session in sessions)
    written: list[tuple[Session, list[Utterance]]] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:  # espeak-ng runs in processes of its own
        recordings = threads.map(lambda session: record(session, output_dir, seed), sessions)
        for session, utterances in zip(sessions, recordings, strict=True):
            written.append((session, utterances))
            if progress is not None:
                progress(sum(len(utterances) for _, utterances in written), num_all)
    _write_tables(corpus, written)
    storage.write_json(done_uri, parameters)
    return corpus


def _write_tables(corpus: DemoCorpus, written: list[tuple[Session, list[Utterance]]]) -> None:
    """Write the manifests and the users table."""
    manifests = {"train": corpus.train_manifest, "valid": corpus.valid_manifest, "test": corpus.test_manifest}
    for part, uri in manifests.items():
        write_manifest(uri, [row for session, rows in written if session.part == part for row in rows])
    users = [("user_id", "manifest")]
    for session, rows in written:
        if session.part == "adapt":
            users.append((session.speaker, f"users/{session.speaker}.csv"))
            write_manifest(storage.join(corpus.root, "users", f"{session.speaker}.csv"), rows)
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(users)
    storage.write_bytes(corpus.users_csv, table.getvalue().encode())


def _sessions(
    grammar: Grammar, base: dict[str, Voice], users: dict[str, Voice], counts: dict[str, int], seed: int
) -> list[Session]:
    """The sessions of all speakers; every sentence is in one of them."""
    num_shared = counts["train"] + counts["valid"]
    num_per_user = counts["adapt"] + counts["test"]
    sentences = grammar.draw(num_shared + len(users) * num_per_user, seed)
    train, valid = sentences[: counts["train"]], sentences[counts["train"] : num_shared]
    sessions = []
    for part, of_part in (("train", train), ("valid", valid)):
        for i, (speaker, voice) in enumerate(base.items()):
            sessions.append(Session(part, speaker, voice, tuple(of_part[i :: len(base)])))
    for i, (speaker, voice) in enumerate(users.items()):
        start = num_shared + i * num_per_user
        own = sentences[start : start + num_per_user]
        sessions.append(Session("adapt", speaker, voice, tuple(own[: counts["adapt"]])))
        sessions.append(Session("test", speaker, voice, tuple(own[counts["adapt"] :])))
    return sessions


def record(session: Session, output_dir: str, seed: int) -> list[Utterance]:
    """Speak a session and write its audio."""
    rngs = [random.Random(f"{seed}/{session.speaker}/{sentence}") for sentence in session.sentences]
    voices = [_vary(session.voice, rng) for rng in rngs]
    waveforms, rate_hz = synthesise(zip(session.sentences, voices, strict=True))
    utterances = []
    for i, (sentence, rng, waveform) in enumerate(zip(session.sentences, rngs, waveforms, strict=True)):
        heard = _in_a_room(resample(waveform, rate_hz, SAMPLE_RATE_HZ), rng)
        utterance_id = f"{session.speaker}-{session.part}-{i:04d}"
        uri = storage.join(output_dir, "audio", session.part, f"{utterance_id}.flac")
        write_audio(uri, heard, SAMPLE_RATE_HZ)
        utterances.append(
            Utterance(
                utterance_id=utterance_id,
                user_id=session.speaker,
                audio=uri,
                duration_s=len(heard) / SAMPLE_RATE_HZ,
                transcript=sentence,
                line=i + 2,  # the first line is the header
            )
        )
    return utterances


def with_silence(utterances: Sequence[Utterance], folder: str, seconds: float) -> list[Utterance]:
    """Copies of utterances in `folder` (a URI), with digital silence on each side."""
    copies = []
    for utterance in utterances:
        waveform = np.pad(read_waveform(utterance.audio, SAMPLE_RATE_HZ), round(seconds * SAMPLE_RATE_HZ))
        uri = storage.join(folder, f"{utterance.utterance_id}.flac")
        write_audio(uri, waveform, SAMPLE_RATE_HZ)
        copies.append(replace(utterance, audio=uri, duration_s=len(waveform) / SAMPLE_RATE_HZ))
    return copies


def _vary(voice: Voice, rng: random.Random) -> Voice:
    """The voice at a slightly different speed and pitch: nobody says two sentences quite alike."""
    pitch = min(99, max(0, voice.pitch + rng.randint(-4, 4)))
    return replace(voice, rate_wpm=round(voice.rate_wpm * rng.uniform(0.93, 1.07)), pitch=pitch)


def _in_a_room(waveform: np.ndarray, rng: random.Random) -> np.ndarray:
    """Speech at some distance from the microphone: silence around it, a peak of 0.3 to 0.8, noise 28 to 40 dB below.

    Both waveforms are float32 [num_samples] at SAMPLE_RATE_HZ.
    """
    around = [round(rng.uniform(0.02, 0.15) * SAMPLE_RATE_HZ) for _ in range(2)]
    loud = waveform * (rng.uniform(0.3, 0.8) / np.abs(waveform).max())
    noise_level = np.sqrt(np.mean(loud**2)) * 10 ** (-rng.uniform(28, 40) / 20)
    heard = np.pad(loud, around)
    noise = np.random.default_rng(rng.getrandbits(64)).standard_normal(len(heard), dtype=np.float32)
    return (heard + noise_level * noise).astype(np.float32)
