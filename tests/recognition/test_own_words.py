"""Own words in recognition, with the base of the stored fixture, whose voices are tones, its letters a to d."""

import shutil
from pathlib import Path

import pytest
from parrot import Parrot

from ds2ray import Transcriber
from ds2ray.config import DecodeConfig, DecoderKind, Vad
from ds2ray.errors import StorageError
from ds2ray.recognition import own_words
from ds2ray.recognition.own_words import WordsOfUsers
from ds2ray.store import OwnWord, Store, erase_words, publish_words
from ds2ray.tables.manifest import Utterance

STORED = Path(__file__).resolve().parents[1] / "fixtures" / "stored"
AUDIO = str(STORED / "3-010.wav")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    shutil.copytree(STORED / "store", tmp_path / "store")
    return Store(str(tmp_path / "store"))


def hear(store: Store, users: list[str], decode: DecodeConfig) -> list[tuple[str, str]]:
    """Text and note of the same audio, said by each of these users, in one batch."""
    transcriber = Transcriber.open(store, device="cpu", vad=Vad.off, decoder=decode)
    rows = [Utterance(str(n), user, AUDIO, 1.0, "", n) for n, user in enumerate(users)]
    return [(heard.text, heard.note) for heard in transcriber.transcribe_utterances(rows)]


def test_each_speaker_of_a_batch_has_words_of_their_own(store: Store) -> None:
    strong = DecodeConfig(decoder=DecoderKind.beam, words_weight=12.0)
    (plain, _), *_ = hear(store, ["x"], strong)
    other = plain.replace(plain.split()[0], plain.split()[0][:-1] + ("a" if plain.split()[0][-1] != "a" else "b"), 1)
    publish_words(store, "y", [OwnWord(other.split()[0])])
    publish_words(store, "z", [OwnWord("café")])
    heard = hear(store, ["x", "y", "z", ""], strong)
    assert [text for text, _ in heard] == [plain, other, plain, plain]
    assert "own words of user z are never heard, as the base cannot write them: 'café'" in heard[2][1]
    off = DecodeConfig(decoder=DecoderKind.beam, words_weight=0.0)
    assert [text for text, _ in hear(store, ["y"], off)] == [plain]


def test_a_decoder_that_hears_no_own_words_says_so_of_those_who_have_some(store: Store) -> None:
    publish_words(store, "y", [OwnWord("ab")])
    (_, mine), (_, other), (_, nobodys) = hear(store, ["y", "x", ""], DecodeConfig())
    assert mine.endswith(
        "own words are not heard, as greedy decoding follows no words: decode=beam and decode=lm hear them"
    )
    assert "own words" not in other + nobodys
    (_, off), *_ = hear(store, ["y"], DecodeConfig(decoder=DecoderKind.beam, words_weight=0.0))
    assert off.endswith("own words are not heard, as decode.words_weight is 0")
    transcriber = Transcriber.open(store, device="cpu", vad=Vad.off, decoder=Parrot((1, 2)))
    row = Utterance("1", "y", AUDIO, 1.0, "", 1)
    assert transcriber.transcribe_utterances([row])[0].note.endswith(
        "own words are not heard, as Parrot follows no words"
    )
    assert "own words" not in transcriber.transcribe_utterances([row], use_adapters=False)[0].note


def test_words_that_are_not_heard_stop_nobody(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*arguments: object) -> None:
        raise StorageError("no route")

    monkeypatch.setattr(own_words, "read_words_record", unreachable)
    assert [note for _, note in hear(store, ["x", "a\nb"], DecodeConfig()) if "own words" in note] == []


def test_damaged_words_are_told_and_stop_nobody(store: Store) -> None:
    record = publish_words(store, "y", [OwnWord("ab")])
    path = Path(store.root_uri) / "users" / "y" / f"words-{record.version}.json"
    path.unlink()
    (_, note), (_, other) = hear(store, ["y", "x"], DecodeConfig(decoder=DecoderKind.beam))
    assert "own words are not heard: " in note
    assert "own words" not in other


def test_new_words_are_heard_without_a_restart_and_few_are_kept(store: Store) -> None:
    vocabulary = Transcriber.open(store, device="cpu").base.vocabulary
    kept = WordsOfUsers(store, vocabulary, max_open=2, fresh_s=0.0)
    assert kept.find_many(["x"])["x"].tree is None
    publish_words(store, "x", [OwnWord("ab")])
    first = kept.find_many(["x"])["x"]
    assert first.tree is not None
    assert len(first.tree) == 3
    assert kept.find_many(["x"])["x"].tree is first.tree
    erase_words(store, "x")
    assert set(kept.find_many(["x", "y", "z", ""])) == {"", "x", "y", "z"}
    assert len(kept) == 2
    assert kept.find_many(["x"])["x"].tree is None


def test_an_id_that_cannot_be_a_users_has_no_words(store: Store) -> None:
    vocabulary = Transcriber.open(store, device="cpu").base.vocabulary
    assert "control characters" in WordsOfUsers(store, vocabulary, 2).find_many(["a\nb"])["a\nb"].note


def test_words_that_are_open_are_heard_while_the_store_cannot_be_reached(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_words(store, "x", [OwnWord("ab")])
    vocabulary = Transcriber.open(store, device="cpu").base.vocabulary
    kept = WordsOfUsers(store, vocabulary, max_open=2, fresh_s=0.0)
    before = kept.find_many(["x"])["x"]

    def unreachable(*arguments: object) -> None:
        raise StorageError("no route")

    with monkeypatch.context() as patch:
        patch.setattr(own_words, "read_words_record", unreachable)
        during = kept.find_many(["x"])["x"]
        with pytest.raises(StorageError, match="no route"):
            kept.find_many(["y"])
    assert during.tree is before.tree
    assert during.note == "whether own words are still the newest is not known: no route"
    assert kept.find_many(["x"])["x"] == before
