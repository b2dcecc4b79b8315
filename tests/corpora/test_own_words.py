"""Own words as people write them, in cells and files."""

import json
from pathlib import Path

import pytest

from ds2ray.config import DataConfig
from ds2ray.corpora.own_words import own_words, read_table_words, read_words_file
from ds2ray.errors import InputError
from ds2ray.store import OwnWord
from ds2ray.tables.users import read_fleet


def test_words_phrases_and_weights() -> None:
    found = own_words("Anna; new  york:2;\n김민수\t0.5\n\n", "here")
    assert found == (OwnWord("Anna"), OwnWord("new  york", 2.0), OwnWord("김민수", 0.5))
    with pytest.raises(InputError, match="here: weight 'x' of 'anna' is no number; write it as `anna:2`"):
        own_words("anna:x", "here")
    with pytest.raises(InputError, match="number above 0"):
        own_words("anna:0", "here")


def test_a_file_has_a_word_a_line(tmp_path: Path) -> None:
    (tmp_path / "kim.txt").write_text("김민수\t2\r\nnew york\r\n", encoding="utf-8")
    assert read_words_file(str(tmp_path / "kim.txt")) == (OwnWord("김민수", 2.0), OwnWord("new york"))
    with pytest.raises(InputError, match="there is no such file"):
        read_words_file(str(tmp_path / "none.txt"))


def test_a_table_names_words_and_files_and_one_bad_row_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "olaf.txt").write_text("olaf\n")
    (tmp_path / "users.csv").write_text(
        "user_id,manifest,words,words_file\n"
        "a,a.csv,anna;new york:2,olaf.txt\nb,b.csv,,\nc,c.csv,-,\nd,d.csv,x:y,\ne,e.csv,,none.txt\nf,f.csv,zoe,\n"
    )
    found = read_table_words(str(tmp_path / "users.csv"))
    assert found.words == {
        "a": (OwnWord("anna"), OwnWord("new york", 2.0), OwnWord("olaf")),
        "c": (),
        "f": (OwnWord("zoe"),),
    }
    assert [(problem.user_id, problem.column) for problem in found.problems] == [("d", "words"), ("e", "words_file")]


def test_json_lines_hold_lists(tmp_path: Path) -> None:
    rows = [{"user_id": "a", "manifest": "a.csv", "words": ["anna", "olaf:2"]}, {"user_id": "b", "manifest": "b.csv"}]
    (tmp_path / "users.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_table_words(str(tmp_path / "users.jsonl")).words == {"a": (OwnWord("anna"), OwnWord("olaf", 2.0))}


def test_the_words_of_a_fleet_are_no_transcripts_and_no_unknown_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("audio,transcript\nx.wav,a\n")
    (tmp_path / "users.csv").write_text("user_id,manifest,Words\na,a.csv,anna\n")
    fleet = read_fleet(str(tmp_path / "users.csv"), DataConfig())
    assert (fleet.unknown_columns, fleet.notes) == ([], {})


def test_in_a_manifest_words_are_the_transcript(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("audio,words,user_id\nx.wav,anna,a\n")
    assert read_table_words(str(tmp_path / "all.csv")).words == {}
    assert read_fleet(str(tmp_path / "all.csv"), DataConfig()).users[0].utterances[0].transcript == "anna"
