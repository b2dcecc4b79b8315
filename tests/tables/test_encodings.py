"""Text in encodings other than UTF-8: named, marked, guessed, or refused."""

from pathlib import Path

import pytest

from ds2ray.config import DataConfig
from ds2ray.errors import ConfigError, InputError
from ds2ray.tables.encodings import decoded, guessed_encoding, read_text
from ds2ray.tables.manifest import read_manifest
from ds2ray.tables.notes import reading_notes

KOREAN, FRENCH, GERMAN = "안녕 하세요. 불을 켜 줘!", "allume la lumière à côté", "Öffne die Tür – “bitte”"


@pytest.mark.parametrize(
    ("text", "encoding", "guessed"),
    [
        (KOREAN, "utf-8", ""),
        (KOREAN, "utf-8-sig", ""),
        (KOREAN, "utf-16", ""),
        (KOREAN, "utf-32", ""),
        (KOREAN, "cp949", "cp949"),
        (KOREAN, "euc-kr", "cp949"),
        (FRENCH, "cp1252", "cp1252"),
        (FRENCH, "latin-1", "cp1252"),
        (GERMAN, "cp1252", "cp1252"),
        ("turn on the light", "utf-16-le", "utf-16-le"),  # valid UTF-8, too, with zeros in it
        ("turn on the light – now", "utf-16-le", "utf-16-le"),
        ("turn on the lamp – it’s dark", "utf-16-be", "utf-16-be"),
    ],
)
def test_what_is_written_is_read(tmp_path: Path, text: str, encoding: str, guessed: str) -> None:
    (tmp_path / "t.txt").write_bytes(text.encode(encoding))
    found = read_text(str(tmp_path / "t.txt"))
    assert found.content == text
    assert found.guessed.startswith(guessed)
    assert read_text(str(tmp_path / "t.txt"), encoding).content == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("привет мир", "cp1251"),
        ("καλημέρα", "cp1253"),
        ("こんにちは", "shift_jis"),
        ("\u0152\u0160\u0152", "iso8859-15"),
    ],
)
def test_what_fits_no_candidate_well_is_not_guessed(text: str, encoding: str) -> None:
    data = text.encode(encoding, errors="replace")
    assert guessed_encoding(data) == ""
    with pytest.raises(InputError, match="t.txt:1: byte 0x.. is not UTF-8.*data.encoding=cp949"):
        decoded(data, "t.txt")
    if "?" not in data.decode(encoding):
        assert decoded(data, "t.txt", encoding).content == text


def test_a_named_encoding_is_not_replaced_by_a_guess() -> None:
    with pytest.raises(InputError, match=r"t.txt:2: byte 0xbe is not UTF-8; .*data.encoding="):
        decoded(b"one\n" + KOREAN.encode("cp949"), "t.txt", "utf-8")
    for marked in ("utf-8-sig", "utf-16"):  # a file that says its own encoding knows it
        assert decoded(KOREAN.encode(marked), "t.txt", "cp949").content == KOREAN


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.jsonl"])
def test_a_guess_is_told(tmp_path: Path, name: str) -> None:
    separator = {"x.csv": ",", "x.tsv": "\t"}.get(name)
    table = f'{{"audio": "a.wav", "transcript": "{KOREAN}"}}'
    if separator:
        table = f"audio{separator}transcript\na.wav{separator}{KOREAN}\n"
    (tmp_path / name).write_bytes(table.encode("cp949"))
    manifest = read_manifest(str(tmp_path / name))
    assert [u.transcript for u in manifest.utterances] == [KOREAN]
    assert reading_notes([manifest, manifest]) == ["files taken for cp949, for want of data.encoding=…: 2"]
    assert reading_notes([read_manifest(str(tmp_path / name), encoding="cp949")]) == []


def test_an_encoding_that_python_does_not_know_is_refused() -> None:
    for name in ("klingon", "base64"):
        with pytest.raises(ConfigError, match="data.encoding="):
            DataConfig(encoding=name)
    assert DataConfig(encoding="EUC-KR").encoding == "EUC-KR"
