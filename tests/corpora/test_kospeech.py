import uuid
from pathlib import Path

import pytest

from ds2ray import storage
from ds2ray.config import AudioConfig, DataConfig, TextConfig, TextUnit
from ds2ray.corpora.kospeech import find_kospeech_vocabulary, read_kospeech, read_kospeech_vocabulary
from ds2ray.errors import InputError
from ds2ray.tables.validation import validate

VOCABULARY_CSV = (
    "id,char,freq\n0,<pad>,0\n1,<sos>,0\n2,<eos>,0\n3, ,900\n4,.,80\n5,나,70\n6,가,60\n7,A,5\n8,a,4\n9,<blank>,0\n"
)


@pytest.fixture(params=["local", "memory"])
def folder_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}"


def write(folder_uri: str, name: str, text: str) -> str:
    uri = storage.join(folder_uri, name)
    storage.write_bytes(uri, text.encode())
    return uri


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_reads_the_vocabulary_in_its_order(folder_uri: str, mark: str) -> None:
    uri = write(folder_uri, "vocab.csv", mark + VOCABULARY_CSV)
    assert read_kospeech_vocabulary(uri, TextConfig()).tokens == ("<blank>", " ", "나", "가", "a")
    as_written = TextConfig(lower_case=False, strip_punctuation=False)
    assert read_kospeech_vocabulary(uri, as_written).tokens == ("<blank>", " ", ".", "나", "가", "A", "a")
    jamo = read_kospeech_vocabulary(uri, TextConfig(unit=TextUnit.jamo))
    assert jamo.tokens == ("<blank>", " ", "\u1102", "\u1161", "\u1100", "a")


def test_reads_transcripts_with_their_vocabulary(folder_uri: str) -> None:
    vocab = write(folder_uri, "tables/vocab.csv", VOCABULARY_CSV)
    lines = "a/one.pcm\t가 나.\t6 3 5 4\r\n\r\nb/two.wav\t나나\t5 5\r\nb/one.flac\t가다\t6\r\nthree.pcm\t가\r\n"
    uri = write(folder_uri, "tables/transcripts.txt", "\ufeff" + lines)
    manifest, vocabulary = read_kospeech(uri, storage.join(folder_uri, "data"), TextConfig(), vocab)
    assert manifest.problems == []
    assert [(u.line, u.utterance_id, u.transcript) for u in manifest.utterances] == [
        (1, "a/one", "가 나."),
        (3, "two", "나나"),
        (4, "b/one", "가다"),
        (5, "three", "가"),
    ]
    assert [u.audio for u in manifest.utterances] == [
        storage.join(folder_uri, "data", name) for name in ("a/one.pcm", "b/two.wav", "b/one.flac", "three.pcm")
    ]
    assert vocabulary is not None
    # the character that KoSpeech left out of the ids without a word is reported by validation
    for u in manifest.utterances:
        storage.write_bytes(str(u.audio), bytes(32000))
    only_pcm = [u for u in manifest.utterances if str(u.audio).endswith(".pcm")]
    manifest.utterances = [*only_pcm, manifest.utterances[2]]
    checked = validate(manifest, data=DataConfig(), audio=AudioConfig(), vocabulary=vocabulary)
    assert [(u.utterance_id, u.duration_s) for u in checked.utterances] == [("a/one", 1.0), ("three", 1.0)]
    assert "the vocabulary lacks '다' (U+B2E4)" in [problem.reason for problem in checked.problems]


def test_lines_that_do_not_fit_become_problems(tmp_path: Path) -> None:
    vocab = write(str(tmp_path), "vocab.csv", VOCABULARY_CSV)
    lines = ["a.pcm\t가\t6", "b.pcm\t가\t5", "c.pcm\t가\tsix", "d.pcm", "e.pcm\t가\t6\tmore", " \t가\t6", "f.pcm\t가\t"]
    uri = write(str(tmp_path), "transcripts.txt", "\n".join(lines))
    manifest, _ = read_kospeech(uri, str(tmp_path), TextConfig(), vocab)
    assert [u.utterance_id for u in manifest.utterances] == ["a"]
    assert [(p.line, p.column) for p in manifest.problems] == [
        (2, "ids"),
        (3, "ids"),
        (4, ""),
        (5, ""),
        (6, "audio"),
        (7, "ids"),
    ]
    assert str(manifest.problems[0]).startswith(
        f"{uri}:2: ids='5': not the ids of the text, which are 6 in this vocabulary; use the vocabulary that"
    )


def test_without_a_vocabulary_the_ids_are_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(str(tmp_path), "transcripts.txt", "a.pcm\t가\t999\n")
    monkeypatch.chdir(tmp_path)
    manifest, vocabulary = read_kospeech("transcripts.txt", "data", TextConfig())
    assert vocabulary is None
    assert [u.audio for u in manifest.utterances] == [str(tmp_path / "data/a.pcm")]
    manifest, _ = read_kospeech("transcripts.txt", "", TextConfig())
    assert [u.audio for u in manifest.utterances] == [str(tmp_path / "a.pcm")]


def test_finds_the_only_vocabulary_beside_the_transcripts(folder_uri: str) -> None:
    transcripts = write(folder_uri, "transcripts.txt", "")
    assert find_kospeech_vocabulary(transcripts) is None
    write(folder_uri, "vocab.txt", "")
    write(folder_uri, "other.csv", "")
    first = write(folder_uri, "aihub_character_Vocabs.csv", VOCABULARY_CSV)
    assert find_kospeech_vocabulary(transcripts) == first
    second = write(folder_uri, "vocab2.csv", VOCABULARY_CSV)
    with pytest.raises(InputError, match="several vocabularies") as error:
        find_kospeech_vocabulary(transcripts)
    assert first in str(error.value)
    assert second in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,grpm,freq\n0,가,1\n", "no column char"),
        ("id,char,freq\n0,<pad>,0\n", "holds no character"),
        ("id,char,freq\n0,가,1\n1,ab,1\n2,,1\n", "2 rows of the vocabulary.*\n.*:3: char='ab'.*\n.*:4: char=''"),
        ("id,char,freq\nx,가,1\n", "id='x': not a token id"),
        ("id,char,freq\n1,가,1\n2,가,1\n", ":3: char='가': given twice"),
    ],
)
def test_refuses_vocabularies_that_are_none(tmp_path: Path, content: str, message: str) -> None:
    uri = write(str(tmp_path), "vocab.csv", content)
    with pytest.raises(InputError, match=message):
        read_kospeech_vocabulary(uri, TextConfig())


def test_refuses_missing_files_and_other_encodings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        read_kospeech(str(tmp_path / "transcripts.txt"), "", TextConfig())
    with pytest.raises(InputError, match="there is no such file"):
        read_kospeech_vocabulary(str(tmp_path / "vocab.csv"), TextConfig())
    (tmp_path / "transcripts.txt").write_bytes(b"a.pcm\t\xff\x81\n")
    with pytest.raises(InputError, match=r"transcripts.txt:1: .* is not UTF-8"):
        read_kospeech(str(tmp_path / "transcripts.txt"), "", TextConfig())
