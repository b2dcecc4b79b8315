import json
from pathlib import Path

import pytest

from benchmarks.real_people.many_voices import LONGEST, SHORTEST, Texts, main, sentences_of_documentation
from ds2ray.tables.manifest import read_manifest


def test_the_documentation_gives_thousands_of_sentences_of_plain_words() -> None:
    sentences = sentences_of_documentation()
    assert len(sentences) > 1000
    assert len(set(sentences)) == len(sentences)
    for sentence in sentences:
        assert SHORTEST <= len(sentence.split()) <= LONGEST
        assert set(sentence) <= set("abcdefghijklmnopqrstuvwxyz' ")


def test_words_are_those_of_the_given_sentences() -> None:
    texts = Texts.with_documentation(["the cat", "a cat sat"])
    assert texts.words == ["a", "cat", "sat", "the"]
    assert texts.given == ["the cat", "a cat sat"]


@pytest.mark.process
def test_each_sentence_has_a_voice_of_its_own_and_is_the_same_in_every_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.real_people.many_voices.AT_ONCE", 12)
    monkeypatch.setattr("benchmarks.real_people.many_voices.NUM_VALID", 3)
    given = write_given(tmp_path)
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        main(["--hours", "0.001", "--output", str(folder), "--manifest", given, "--seed", "5"])
    one, two = (read_manifest(str(folder / "train.parquet")).utterances for folder in folders)
    assert [(u.transcript, u.user_id, u.duration_s) for u in one] == [
        (u.transcript, u.user_id, u.duration_s) for u in two
    ]
    assert len({u.user_id for u in one}) > 5
    valid = read_manifest(str(folders[0] / "valid.parquet")).utterances
    assert len(valid) == 3
    assert "turn left" in {u.transcript for u in [*one, *valid]}


def write_given(folder: Path) -> str:
    rows = [{"audio": "a.wav", "transcript": "TURN LEFT"}]
    path = folder / "given.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)
