"""Texts of language models: plain files in any encoding, packed or not, and the transcripts of tables."""

import gzip
from pathlib import Path

import pytest

from ds2ray.config import DataConfig
from ds2ray.corpora.texts import read_lines, read_text_or_corpus
from ds2ray.errors import InputError

DATA = DataConfig()


@pytest.mark.parametrize("name", ["a.txt", "A.TXT", "a.txt.gz"])
def test_a_text_has_a_sentence_a_line(tmp_path: Path, name: str) -> None:
    content = b"one two\r\n\n  \nthree\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    text = read_text_or_corpus(str(tmp_path / name), DATA)
    assert (text.sentences, text.problems, text.notes) == (["one two", "three"], [], [])


def test_an_encoding_is_named_or_guessed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("거실 불 켜 줘\n온도를 맞춰 줘\n".encode("cp949"))
    named = read_text_or_corpus(str(path), DataConfig(encoding="cp949"))
    guessed = read_text_or_corpus(str(path), DATA)
    assert named.sentences == guessed.sentences == ["거실 불 켜 줘", "온도를 맞춰 줘"]
    assert named.notes == []
    assert "a guess" in guessed.notes[0]


def test_the_transcripts_of_a_manifest_whose_audio_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("audio,transcript\na.wav,one two\nb.wav,\nc.wav,three\n")
    assert read_text_or_corpus(str(path), DATA).sentences == ["one two", "three"]


def test_kospeech_s_transcripts_are_told_from_text_by_their_tabs(tmp_path: Path) -> None:
    path = tmp_path / "transcripts.txt"
    path.write_text("a.pcm\t거실 불\t1 2 3\n", encoding="utf-8")
    assert read_text_or_corpus(str(path), DATA).sentences == ["거실 불"]


def test_rows_that_cannot_be_read_are_problems(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("utterance_id,audio,transcript\none,a.wav,one\none,b.wav,two\n")
    text = read_text_or_corpus(str(path), DATA)
    assert len(text.problems) == 1
    assert "two" not in text.sentences


@pytest.mark.parametrize("name", ["none.txt", "none.csv", "none"])
def test_what_is_not_there_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=str(tmp_path / name)):
        read_text_or_corpus(str(tmp_path / name), DATA)


def test_a_damaged_packed_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"one two three")[:-9])
    with pytest.raises(InputError, match="cannot be unpacked"):
        read_lines(str(path))
