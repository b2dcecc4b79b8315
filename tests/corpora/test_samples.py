"""Corpora with one odd file in them: that row's problem, or read as it was meant, and never the whole corpus's."""

import os
import unicodedata
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pytest
from table_cases import CASES, needs_cases, tones

from ds2ray import storage
from ds2ray.config import AudioConfig, BadRows, CorpusFormat, DataConfig, PrepareConfig
from ds2ray.corpora.corpus import Corpus, audio_objects, read_corpus
from ds2ray.errors import InputError
from ds2ray.tables.manifest import Manifest
from ds2ray.tables.notes import reading_notes
from ds2ray.tables.validation import validate_many

Form = Literal["NFC", "NFD"]
LENIENT = DataConfig(bad_rows=BadRows.drop)


def corpus_of(folder: Path, data: DataConfig = LENIENT) -> tuple[Corpus, list[Manifest]]:
    """A corpus as packing reads it, and what of it is usable."""
    corpus = read_corpus(str(folder), PrepareConfig(), data)
    objects = audio_objects(corpus)
    return corpus, validate_many(corpus.manifests, data=data, audio=AudioConfig(), vocabulary=None, objects=objects)


def said(manifests: list[Manifest]) -> list[str]:
    return [u.transcript for manifest in manifests for u in manifest.utterances]


def reasons(manifests: list[Manifest]) -> list[tuple[int, str]]:
    return [(problem.line, problem.reason) for manifest in manifests for problem in manifest.problems]


@needs_cases
def test_the_sample_of_one_text_in_another_encoding() -> None:
    corpus, checked = corpus_of(CASES / "corpora" / "folder_one_cp949")
    assert corpus.format is CorpusFormat.folder
    assert len(said(checked)) == 8
    assert said(checked)[3] == "안녕 하세요"
    assert reading_notes(corpus.manifests) == ["files taken for cp949, for want of data.encoding=…: 1"]
    _, checked = corpus_of(CASES / "corpora" / "folder_one_cp949", DataConfig(bad_rows=BadRows.drop, encoding="utf-8"))
    assert len(said(checked)) == 7
    assert reasons(checked) == [(4, "cannot be read: 1: byte 0xbe is not UTF-8; save the file as UTF-8, or name its "
                                    "encoding: data.encoding=cp949, utf-16, cp1252 …")]  # fmt: skip


@needs_cases
def test_the_sample_of_decomposed_names() -> None:
    corpus, checked = corpus_of(CASES / "corpora" / "kospeech_nfd")
    assert corpus.format is CorpusFormat.kospeech
    assert reasons(checked) == []
    assert len(said(checked)) == 8
    stored = checked[0].utterances[0].audio
    assert isinstance(stored, str)
    assert stored == unicodedata.normalize("NFD", stored)
    assert storage.stat_many([stored])[stored] is not None


@pytest.mark.parametrize(("of_table", "of_files"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_and_folders_in_either_form(tmp_path: Path, of_table: Form, of_files: Form) -> None:
    stored, named = (unicodedata.normalize(form, "녹음é/café 1.wav") for form in (of_files, of_table))
    tones(tmp_path, stored)
    (tmp_path / "m.csv").write_text(f"audio,transcript,user_id\n{named},x,ann\n", encoding="utf-8")
    _, (checked,) = corpus_of(tmp_path)
    assert reasons([checked]) == []
    assert [u.audio for u in checked.utterances] == [str(tmp_path / stored)]


@pytest.mark.parametrize(("of_text", "of_audio"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_texts_beside_audio_in_either_form(tmp_path: Path, of_text: Form, of_audio: Form) -> None:
    audio, text = (unicodedata.normalize(form, "음") for form in (of_audio, of_text))
    tones(tmp_path, f"김/{audio}.wav")
    (tmp_path / "김" / f"{text}.txt").write_text("x")
    corpus, checked = corpus_of(tmp_path)
    assert (reasons(checked), said(checked)) == ([], ["x"])
    assert corpus.notes == []


def test_texts_that_cannot_be_read_are_their_rows_problems(tmp_path: Path) -> None:
    tones(tmp_path, "john/0.wav", "john/1.wav", "john/2.wav")
    (tmp_path / "john/0.txt").write_text("good")
    (tmp_path / "john/1.txt").write_bytes(b"\xff\x81\xfe")
    os.symlink("2.txt", tmp_path / "john/2.txt")
    _, checked = corpus_of(tmp_path)
    assert said(checked) == ["good"]
    assert [line for line, _ in reasons(checked)] == [2, 3]
    assert checked[0].problems[0].user_id == "john"
    assert "Too many levels of symbolic links" in reasons(checked)[1][1]


def test_a_chapter_that_cannot_be_read_is_one_problem(tmp_path: Path) -> None:
    tones(tmp_path, "1/2/1-2-0.flac", "3/4/3-4-0.flac")
    (tmp_path / "1/2/1-2.trans.txt").write_text("1-2-0 HELLO\n")
    (tmp_path / "3/4/3-4.trans.txt").write_bytes(b"3-4-0 \xff\x81\xfe\n")
    corpus, checked = corpus_of(tmp_path)
    assert corpus.format is CorpusFormat.librispeech
    assert said(checked) == ["HELLO"]
    assert "is not UTF-8" in reasons(checked)[0][1]


def test_links_that_lead_in_a_circle(tmp_path: Path) -> None:
    tones(tmp_path, "john/0.wav", "john/1.wav")
    for name in ("0", "1", "2"):
        (tmp_path / f"john/{name}.txt").write_text(name)
    os.symlink(tmp_path, tmp_path / "john" / "all")  # a folder within itself
    os.symlink("2.wav", tmp_path / "john" / "2.wav")  # audio that is a link to itself
    _, checked = corpus_of(tmp_path)
    assert said(checked) == ["0", "1"]
    assert reasons(checked) == [(3, "is a link that leads round in a circle")]


def test_a_link_to_a_folder_elsewhere_is_followed(tmp_path: Path) -> None:
    tones(tmp_path, "elsewhere/0.wav")
    (tmp_path / "elsewhere/0.txt").write_text("x")
    (tmp_path / "corpus").mkdir()
    for name in ("john", "mary"):
        os.symlink(tmp_path / "elsewhere", tmp_path / "corpus" / name)
    _, (checked,) = corpus_of(tmp_path / "corpus")
    assert [u.utterance_id for u in checked.utterances] == ["john/0", "mary/0"]


def test_one_audio_whose_name_no_system_can_hold(tmp_path: Path) -> None:
    tones(tmp_path, "0.wav")
    names = ["0.wav", f"{'x' * 300}.wav", "0.wav/inside.wav", "a\0b.wav"]
    (tmp_path / "m.csv").write_text("audio,transcript\n" + "".join(f"{name},x\n" for name in names))
    _, (checked,) = corpus_of(tmp_path / "m.csv")
    assert [u.line for u in checked.utterances] == [2]
    assert [line for line, _ in reasons([checked])] == [3, 4, 5]
    assert reasons([checked])[0][1] == "has a name that is too long"


@needs_cases
def test_the_sample_whose_audio_is_odd_has_eight_rows() -> None:
    corpus = read_corpus(str(CASES / "corpora" / "kospeech_odd"), PrepareConfig(), DataConfig())
    assert corpus.format is CorpusFormat.kospeech
    assert [len(manifest.utterances) for manifest in corpus.manifests] == [8]
    assert reasons(corpus.manifests) == []


def test_shards_of_hugging_face_are_one_corpus(tmp_path: Path) -> None:
    (audio,) = tones(tmp_path / "elsewhere", "a.flac")
    for number in range(2):
        columns = {"audio": [{"bytes": Path(audio).read_bytes(), "path": f"{number}.flac"}], "text": [str(number)]}
        storage.write_table(str(tmp_path / f"data/train-0000{number}-of-00002.parquet"), pa.table(columns))
    corpus, checked = corpus_of(tmp_path / "data")
    assert (corpus.format, said(checked)) == (CorpusFormat.manifest, ["0", "1"])
    storage.write_table(str(tmp_path / "data/test-00000-of-00001.parquet"), pa.table({"text": ["x"]}))
    with pytest.raises(InputError, match=r"one table .* is wanted, and there are test-00000-of-00001.parquet, train-"):
        read_corpus(str(tmp_path / "data"), PrepareConfig(), DataConfig())
