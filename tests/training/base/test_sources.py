"""Sources of training data and of its vocabulary."""

from dataclasses import replace
from pathlib import Path

import pytest
from odd_addresses import odd_audio, odd_folder, write_rows
from shards import pack
from toy_speech import AUDIO, MODEL, VOCABULARY, make_utterances

from ds2ray.config import DataConfig, TextConfig, TrainConfig
from ds2ray.errors import ConfigError, InputError, StorageError
from ds2ray.shapes.architectures import shape_of
from ds2ray.tables.manifest import write_manifest
from ds2ray.training.base.sources import TrainingData, load_training_data
from ds2ray.uris import resolve

TOKENS = (" ", "d", "c", "b", "a", "e")  # neither sorted nor only those that are said


def write_vocabulary(folder: Path, tokens: tuple[str, ...] = TOKENS) -> str:
    rows = ["id,char,freq", "0,<pad>,0", *(f"{number},{token},1" for number, token in enumerate(tokens, 1))]
    (folder / "vocab.csv").write_text("\n".join(rows) + "\n")
    return str(folder / "vocab.csv")


@pytest.fixture(params=["table", "shards"])
def manifest(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    utterances = make_utterances(tmp_path, 6)
    if request.param == "shards":
        return pack(tmp_path / "packed", utterances)
    write_manifest(str(tmp_path / "train.csv"), utterances)
    return str(tmp_path / "train.csv")


def load(manifest: str, vocab_path: str, **options: object) -> TrainingData:
    train = TrainConfig(manifest=manifest, vocab_path=vocab_path)
    return load_training_data(train, DataConfig(), TextConfig(), shape_of(MODEL, AUDIO), **options)  # type: ignore[arg-type]


def test_a_manifest_goes_with_a_vocabulary_of_kospeech(tmp_path: Path, manifest: str) -> None:
    data = load(manifest, write_vocabulary(tmp_path))
    assert data.vocabulary.tokens[1:] == TOKENS
    assert len(data.train) + len(data.valid) == 6
    assert load(manifest, "").vocabulary.tokens[1:] == VOCABULARY.tokens[1:]


def test_characters_that_it_lacks_are_told(tmp_path: Path, manifest: str) -> None:
    data = load(manifest, write_vocabulary(tmp_path, ("a", "b", "c", " ")))
    with_d = sum("d" in utterance.transcript for utterance in load(manifest, "").train)
    assert len(data.problems) >= with_d > 0
    assert all("the vocabulary lacks 'd'" in str(problem) for problem in data.problems)


def test_the_vocabulary_of_the_base_that_is_trained_further_stays(tmp_path: Path, manifest: str) -> None:
    data = load(manifest, write_vocabulary(tmp_path), vocabulary=VOCABULARY)
    assert data.vocabulary == VOCABULARY


def test_numbers_are_put_in_words_and_a_row_that_is_not_certain_is_left_out(tmp_path: Path) -> None:
    first, second, third = make_utterances(tmp_path, 3)
    rows = [replace(first, transcript="7"), replace(second, transcript="ad"), replace(third, transcript="mp3")]
    write_manifest(str(tmp_path / "train.csv"), rows)
    train = TrainConfig(manifest=str(tmp_path / "train.csv"), valid_manifest=str(tmp_path / "train.csv"))
    data = load_training_data(train, DataConfig(), TextConfig(expand_numbers=True), shape_of(MODEL, AUDIO))
    assert set("seven") <= set(data.vocabulary.tokens)
    assert not set("7mp3") & set(data.vocabulary.tokens)
    assert [utterance.transcript for utterance in data.train] == ["7", "ad"]
    assert {problem.reason for problem in data.problems} == {
        "cannot be put in words for certain: 'mp3' has digits inside a word"
    }
    assert "utterances with numbers or abbreviations put in words: 2" in data.notes


def test_a_language_that_the_library_lacks_is_told_before_any_row(tmp_path: Path, manifest: str) -> None:
    text = TextConfig(expand_numbers=True, language="xx")
    with pytest.raises(ConfigError, match="text.language='xx': num2words does not know this language"):
        load_training_data(TrainConfig(manifest=manifest), DataConfig(), text, shape_of(MODEL, AUDIO))


def test_odd_addresses_are_bad_rows(tmp_path: Path) -> None:
    folder = odd_folder(tmp_path)
    odd = odd_audio(folder)
    good: list[dict[str, object]] = [
        {"audio": u.audio, "transcript": u.transcript} for u in make_utterances(tmp_path, 4)
    ]
    bad: list[dict[str, object]] = [
        {"utterance_id": name, "audio": uri, "transcript": "ab"} for name, (uri, _) in odd.items()
    ]
    manifest = write_rows(folder / "train.jsonl", [*good, *bad])
    data = load_training_data(TrainConfig(manifest=manifest), DataConfig(), TextConfig(), shape_of(MODEL, AUDIO))
    assert len(data.train) + len(data.valid) == len(good)
    told = {problem.utterance_id: problem.reason for problem in data.problems}
    assert [name for name, (_, why) in odd.items() if why not in told[name]] == []
    for name in (
        "pipe.csv",
        "folder.csv",
        "loop.csv",
        "foo://m.csv",
        "zip://m.csv::a.zip",
        "a\0.csv",
        f"{'x' * 300}.csv",
    ):
        with pytest.raises((InputError, StorageError)):
            load_training_data(
                TrainConfig(manifest=resolve(name, manifest)), DataConfig(), TextConfig(), shape_of(MODEL, AUDIO)
            )
