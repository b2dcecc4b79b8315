"""Synthetic speech: the same every time, audible, and with no sentence in two parts of the corpus."""

import csv
import sys
from dataclasses import replace
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import pytest

from ds2ray.config import AudioConfig, DataConfig, TextConfig
from ds2ray.demo.corpus import (
    ENGLISH_BASE,
    ENGLISH_USERS,
    KOREAN_BASE,
    KOREAN_USERS,
    SAMPLE_RATE_HZ,
    make_corpus,
    speak,
)
from ds2ray.demo.espeak import Voice, synthesise
from ds2ray.demo.grammar import ENGLISH, KOREAN, Grammar
from ds2ray.errors import Ds2RayError, InputError
from ds2ray.sound.audio import probe, read_waveform
from ds2ray.tables.manifest import Manifest, read_manifest
from ds2ray.tables.users import read_users
from ds2ray.tables.validation import validate
from ds2ray.text import Vocabulary

COUNTS: dict[str, Any] = {
    "num_train_sentences": 12,
    "num_valid_sentences": 6,
    "num_user_sentences": 3,
    "num_test_sentences": 2,
}


@pytest.fixture(scope="module")
def corpus_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "corpus"
    make_corpus(str(folder), **COUNTS)
    return folder


def manifests(folder: Path) -> dict[str, Manifest]:
    paths = [folder / f"{part}.csv" for part in ("train", "valid", "test")] + sorted((folder / "users").iterdir())
    return {path.stem: read_manifest(str(path)) for path in paths}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_parts_have_the_counts_and_speakers_that_were_asked_for(corpus_dir: Path) -> None:
    parts = manifests(corpus_dir)
    assert {name: len(part.utterances) for name, part in parts.items()} == {
        "train": 12,
        "valid": 6,
        "test": 2 * len(ENGLISH_USERS),
        **dict.fromkeys(ENGLISH_USERS, 3),
    }
    assert {u.user_id for u in parts["train"].utterances} == set(ENGLISH_BASE)
    assert {u.user_id for u in parts["test"].utterances} == set(ENGLISH_USERS)
    users, problems = read_users(str(corpus_dir / "users.csv"), DataConfig())
    assert {user.user_id: len(user.utterances) for user in users} == dict.fromkeys(ENGLISH_USERS, 3)
    assert problems == []


def test_no_sentence_is_said_twice_in_the_corpus(corpus_dir: Path) -> None:
    sentences = [u.transcript for part in manifests(corpus_dir).values() for u in part.utterances]
    assert len(sentences) == 58
    assert len(set(sentences)) == 58


def test_all_audio_is_valid_audible_and_not_clipped(corpus_dir: Path) -> None:
    parts = manifests(corpus_dir)
    vocabulary = Vocabulary.from_transcripts([ascii_lowercase, " "], TextConfig())
    for part in parts.values():
        checked = validate(part, data=DataConfig(), audio=AudioConfig(), vocabulary=vocabulary)
        assert checked.problems == []
        assert checked.conversions == {}
        for utterance in part.utterances:
            header = probe(utterance.audio)
            assert (header.sample_rate_hz, header.num_channels) == (SAMPLE_RATE_HZ, 1)
            assert utterance.duration_s == pytest.approx(header.duration_s, abs=0.001)
            assert 0.7 < header.duration_s < 5
            waveform = read_waveform(utterance.audio, SAMPLE_RATE_HZ)
            assert 0.25 < np.abs(waveform).max() < 0.9
            assert np.sqrt(np.mean(waveform**2)) > 0.01


def test_paths_are_relative_so_that_the_folder_can_be_moved(corpus_dir: Path) -> None:
    for path in (corpus_dir / "train.csv", corpus_dir / "users" / "fiona.csv"):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                assert not Path(row["audio"]).is_absolute()
                assert (path.parent / row["audio"]).is_file()
    with (corpus_dir / "users.csv").open(newline="") as file:
        assert next(csv.DictReader(file)) == {"user_id": "fiona", "manifest": "users/fiona.csv"}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(corpus_dir: Path, tmp_path: Path) -> None:
    make_corpus(str(tmp_path / "again"), **COUNTS)
    assert contents(tmp_path / "again") == contents(corpus_dir)
    make_corpus(str(tmp_path / "other"), **COUNTS, seed=1)
    assert (tmp_path / "other" / "train.csv").read_bytes() != (corpus_dir / "train.csv").read_bytes()


def test_a_complete_corpus_is_left_alone_and_an_interrupted_one_is_finished(tmp_path: Path) -> None:
    counts: dict[str, Any] = dict.fromkeys(COUNTS, 1)
    seen: list[tuple[int, int]] = []
    first = make_corpus(str(tmp_path), **counts, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (18, 18)
    assert seen == sorted(seen)
    audio = sorted((tmp_path / "audio").rglob("*.flac"))[0]
    audio.unlink()
    assert make_corpus(str(tmp_path), **counts) == first
    assert not audio.exists()
    (tmp_path / "corpus.json").unlink()
    assert make_corpus(str(tmp_path), **counts) == first
    assert audio.exists()


def test_other_parameters_replace_the_corpus(tmp_path: Path) -> None:
    counts: dict[str, Any] = dict.fromkeys(COUNTS, 1)
    make_corpus(str(tmp_path), **counts)
    make_corpus(str(tmp_path), **(counts | {"num_train_sentences": 2}))
    assert len(read_manifest(str(tmp_path / "train.csv")).utterances) == 2


def test_a_corpus_can_be_korean(tmp_path: Path) -> None:
    counts: dict[str, Any] = dict.fromkeys(COUNTS, 2)
    corpus = make_corpus(str(tmp_path), **counts, korean=True)
    assert set(corpus.user_ids) == set(KOREAN_USERS)
    transcripts = [u.transcript for u in read_manifest(corpus.train_manifest).utterances]
    assert len(transcripts) == 2
    assert all("가" <= character <= "힣" or character == " " for text in transcripts for character in text)


def test_the_training_sentences_of_the_demo_hold_every_word_and_letter_of_the_others() -> None:
    sentences = ENGLISH.draw(400 + 40 + len(ENGLISH_USERS) * 65, seed=0)
    words = {word for sentence in sentences for word in sentence.split()}
    assert words == {word for sentence in sentences[:400] for word in sentence.split()}
    assert 50 <= len(words) <= 100
    assert {len(sentence.split()) for sentence in sentences} <= {3, 4, 5, 6, 7}
    assert set("".join(words)) <= set("abcdefghijklmnopqrstuvwxyz")


@pytest.mark.parametrize("grammar", [ENGLISH, KOREAN])
def test_more_sentences_than_there_are_is_refused(grammar: Grammar) -> None:
    with pytest.raises(InputError, match="1000000 different sentences"):
        grammar.draw(1_000_000, seed=0)


@pytest.mark.parametrize("voices", [ENGLISH_BASE, ENGLISH_USERS, KOREAN_BASE, KOREAN_USERS])
def test_every_voice_speaks_and_none_sounds_like_another(voices: dict[str, Voice]) -> None:
    text = "우유" if voices in (KOREAN_BASE, KOREAN_USERS) else "milk"
    waveforms, rate_hz = synthesise((text, voice) for voice in voices.values())
    assert rate_hz == 22050
    assert all(np.abs(waveform).max() > 0.1 for waveform in waveforms)
    assert len({waveform.tobytes() for waveform in waveforms}) == len(voices)


def test_what_was_said_before_changes_nothing() -> None:
    voice = Voice("en-us", "f2")  # flutter, echo and breath: all that espeak-ng carries from one utterance to the next
    alone, _ = synthesise([("feed the cat", voice)])
    after, _ = synthesise([("open the door", replace(voice, pitch=80)), ("feed the cat", voice)])
    np.testing.assert_array_equal(after[1], alone[0])


def test_rate_and_pitch_are_heard() -> None:
    voice = Voice("en-us")
    assert len(speak("feed the cat", replace(voice, rate_wpm=240))) < 0.8 * len(speak("feed the cat", voice))
    assert not np.array_equal(speak("feed the cat", replace(voice, pitch=80)), speak("feed the cat", voice))


@pytest.mark.parametrize("voice", [Voice("no-such-language"), Voice("en-us", "no-such-variant")])
def test_an_unknown_voice_is_named(voice: Voice) -> None:
    with pytest.raises(InputError, match="no-such-"):
        speak("hello", voice)


def test_without_espeak_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(Ds2RayError, match=r"ds2ray\[demo\]"):
        speak("hello", Voice("en-us"))
