"""Speech and bases of benchmarks: many users with the demo's accents, kept below `build/` between runs."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.common import say
from ds2ray import storage
from ds2ray.config import AdaptConfig, AudioConfig, ModelConfig, TextConfig
from ds2ray.demo.corpus import ENGLISH_BASE, ENGLISH_USERS, DemoCorpus, Session, make_corpus, record
from ds2ray.demo.espeak import Voice
from ds2ray.demo.grammar import ENGLISH
from ds2ray.model.building import build_model
from ds2ray.model.files import save_model_file
from ds2ray.model.weights import Base
from ds2ray.tables.manifest import Utterance, read_manifest, write_manifest
from ds2ray.text import Vocabulary
from ds2ray.training.adapters.speech import user_seed
from ds2ray.training.hold_out import hold_out

SECONDS_PER_SENTENCE = 1.6
"""Seconds of a sentence, less than the average of any of the demo's voices, so that enough sentences are spoken."""

MODELS = {
    "tiny": (ModelConfig(conv_channels=16, num_rnn_layers=2, rnn_hidden_dim=160), AudioConfig(num_mels=40)),
    "ds2_small": (ModelConfig(), AudioConfig()),
    "ds2": (ModelConfig(num_rnn_layers=5), AudioConfig()),
    "ds2_large": (ModelConfig(num_rnn_layers=5, rnn_hidden_dim=1024), AudioConfig()),
}
"""The presets of conf/model/: settings of model and audio by name."""


@dataclass(frozen=True)
class Speaker:
    """A user: speech to adapt to, and test sentences that neither training nor gate sees."""

    user_id: str
    adapt: list[Utterance]
    test: list[Utterance]

    def with_minutes(self, minutes: float) -> "Speaker":
        """A copy of the user with only as many utterances as make up `minutes` of speech."""
        chosen: list[Utterance] = []
        seconds = 0.0
        for utterance in self.adapt:
            if seconds >= 60 * minutes:
                break
            chosen.append(utterance)
            seconds += utterance.duration_s or 0.0
        return replace(self, adapt=chosen)

    def split(self, adapt: AdaptConfig) -> tuple[list[int], list[int], int]:
        """Indices of `adapt` that are trained on and that are held out, and the user's seed, as in a fleet run."""
        seed = user_seed(self.user_id, adapt)
        return *hold_out([u.utterance_id for u in self.adapt], adapt.held_out_fraction, seed), seed


def virtual_voices(count: int) -> dict[str, Voice]:
    """Voices of `count` users: the demo's accents in turn, each time faster or slower and higher or lower."""
    accents = list(ENGLISH_USERS.items())
    voices = {}
    for number in range(count):
        name, voice = accents[number % len(accents)]
        turn = number // len(accents)
        # steps that do not repeat within some dozens of turns, centred on the demo's own voice
        rate = 1 + 0.12 * ((turn * 3 % 7) - 3) / 3 * (turn > 0)
        pitch = voice.pitch + 4 * ((turn * 5 % 9) - 4) * (turn > 0)
        voices[f"{name}-{turn}"] = replace(
            voice, rate_wpm=round(voice.rate_wpm * rate), pitch=min(95, max(5, round(pitch)))
        )
    return voices


def base_corpus(cache: str, num_train: int, num_valid: int, seed: int = 0) -> DemoCorpus:
    """The corpus of the demo's ordinary voices, which a base is trained and validated on."""
    folder = storage.absolute(storage.join(cache, f"ordinary-{num_train}-{num_valid}-{seed}"))
    return make_corpus(
        folder,
        num_train_sentences=num_train,
        num_valid_sentences=num_valid,
        num_user_sentences=1,
        num_test_sentences=1,
        seed=seed,
    )


def speakers(
    cache: str, count: int, minutes: float, num_test: int, ordinary: DemoCorpus, seed: int = 0
) -> list[Speaker]:
    """Users with at least `minutes` of speech each; they say no sentence of the base's corpus, and none twice."""
    voices = virtual_voices(count)
    num_adapt = max(6, round(60 * minutes / SECONDS_PER_SENTENCE) + 1)
    ours = [u.transcript for uri in (ordinary.train_manifest, ordinary.valid_manifest) for u in _read(uri)]
    pool = [sentence for sentence in ENGLISH.draw(ENGLISH.num_sentences() * 3 // 4, seed) if sentence not in ours]
    described = repr((voices, num_adapt, num_test, seed, pool))
    folder = storage.absolute(storage.join(cache, f"users-{count}-{digest(described)}"))
    manifests = {part: storage.join(folder, f"{part}.parquet") for part in ("adapt", "test")}
    if not storage.exists(manifests["test"]):
        say(f"speaking for {count} users, {num_adapt + num_test} sentences each …")
        sessions = []
        for number, (name, voice) in enumerate(voices.items()):
            start = number * 97 % len(pool)  # users say different sentences, but not everyone can have new ones
            own = [pool[(start + place) % len(pool)] for place in range(num_adapt + num_test)]
            sessions.append(Session("test", name, voice, tuple(own[:num_test])))
            sessions.append(Session("adapt", name, voice, tuple(own[num_test:])))
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
            recorded = list(threads.map(lambda session: record(session, folder, seed), sessions))
        for part, uri in manifests.items():
            of_part = zip(sessions, recorded, strict=True)
            write_manifest(uri, [u for session, rows in of_part if session.part == part for u in rows])
    by_user: dict[str, Speaker] = {name: Speaker(name, [], []) for name in voices}
    for part, uri in manifests.items():
        for utterance in _read(uri):
            getattr(by_user[utterance.user_id], part).append(utterance)
    return list(by_user.values())


def ordinary_speakers(cache: str, num_test: int, ordinary: DemoCorpus, seed: int = 0) -> list[Speaker]:
    """The demo's ordinary voices with sentences that the base has not heard, and nothing to adapt to."""
    ours = [u.transcript for uri in (ordinary.train_manifest, ordinary.valid_manifest) for u in _read(uri)]
    count = num_test * len(ENGLISH_BASE)
    pool = [sentence for sentence in ENGLISH.draw(count + len(ours), seed + 1) if sentence not in ours][:count]
    folder = storage.absolute(storage.join(cache, f"voices-{digest(repr((pool, seed)))}"))
    manifest = storage.join(folder, "test.parquet")
    if not storage.exists(manifest):
        said = [
            Session("test", name, voice, tuple(pool[place :: len(ENGLISH_BASE)]))
            for place, (name, voice) in enumerate(ENGLISH_BASE.items())
        ]
        write_manifest(manifest, [u for session in said for u in record(session, folder, seed)])
    rows = _read(manifest)
    return [Speaker(name, [], [u for u in rows if u.user_id == name]) for name in ENGLISH_BASE]


def known_speakers(
    cache: str, count: int, minutes: float, num_test: int, ordinary: DemoCorpus, seed: int = 0
) -> list[Speaker]:
    """Users with the demo's ordinary voices in turn, each with sentences of its own that the base has not heard."""
    ours = [u.transcript for uri in (ordinary.train_manifest, ordinary.valid_manifest) for u in _read(uri)]
    pool = [sentence for sentence in ENGLISH.draw(ENGLISH.num_sentences() * 3 // 4, seed + 2) if sentence not in ours]
    size = num_test + max(6, round(60 * minutes / SECONDS_PER_SENTENCE) + 1)
    folder = storage.absolute(storage.join(cache, f"known-{digest(repr((count, size, pool, seed)))}"))
    manifest = storage.join(folder, "speech.parquet")
    voices = list(ENGLISH_BASE.items())
    if not storage.exists(manifest):
        said = []
        for number in range(count):
            name, voice = voices[number % len(voices)]
            own = tuple(pool[(number * 97 + place) % len(pool)] for place in range(size))
            said.append(Session("adapt", f"{name}-{number // len(voices)}", voice, own))
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
            recorded = threads.map(lambda session: record(session, folder, seed), said)
            write_manifest(manifest, [u for rows in recorded for u in rows])
    by_user: dict[str, list[Utterance]] = {}
    for utterance in _read(manifest):
        by_user.setdefault(utterance.user_id, []).append(utterance)
    return [Speaker(name, rows[num_test:], rows[:num_test]) for name, rows in by_user.items()]


def vocabulary_of(utterances: Sequence[Utterance]) -> Vocabulary:
    """The vocabulary of these transcripts."""
    return Vocabulary.from_transcripts((u.transcript for u in utterances), TextConfig())


def random_base(model_name: str, vocabulary: Vocabulary, seed: int = 0) -> Base:
    """A base with random weights, by the name of a preset; it takes the same time as a trained one."""
    model_config, audio = MODELS[model_name]
    torch.manual_seed(seed)
    model = build_model(model_config, audio, len(vocabulary)).eval()
    return Base.of(model, model_config, audio, vocabulary)


def saved_random_base(model_name: str, vocabulary: Vocabulary, folder: str) -> str:
    """Write a random base to a file; returns its path."""
    path = storage.join(folder, f"random-{model_name}.pt")
    save_model_file(path, random_base(model_name, vocabulary))
    return path


def trained_base(cache: str, ordinary: DemoCorpus, settings: Sequence[str] = (), model: str = "tiny") -> str:
    """Train a base on the demo's ordinary voices, unless the cache has it; returns the path of its model.pt.

    Args:
        settings: overrides of jobs/train.py.
        model: name of a preset in conf/model/; the demo's is `tiny`.
    """
    described = (ordinary.root, *settings, model)
    folder = storage.absolute(storage.join(cache, f"base-{digest(repr(described))}"))
    say(f"training a base of the demo's voices, {model}, or finding it trained …")
    run_training(
        *(f"model={model}", "train=demo", f"train.manifest={ordinary.train_manifest}"),
        *(f"train.valid_manifest={ordinary.valid_manifest}", f"train.output_dir={folder}"),
        *(f"storage.root={folder}/store", *settings),
    )
    return f"{folder}/model.pt"


def run_training(*settings: str) -> None:
    """Run jobs/train.py in a process of its own and without Ray; its output goes to stderr."""
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, str(root / "jobs" / "train.py"), "cluster.num_workers=0", *settings]
    subprocess.run(command, check=True, stdout=sys.stderr, cwd=root)


def digest(text: str) -> str:
    """A short name for a description, by its digest."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _read(uri: str) -> list[Utterance]:
    return read_manifest(uri).utterances
