"""Rows of a corpus that cannot be packed: each is told with its place, and none stops the others."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest
from corpora import write_tone, write_users
from odd_addresses import odd_audio, odd_folder, write_rows
from preparing import DROP, edit, files, packed_users, prepare

from ds2ray.config import BadRows, DataConfig, PrepareConfig
from ds2ray.errors import InputError


def bad_corpus(folder: Path) -> str:
    """A good row, and one for each way of being bad."""
    write_tone(folder / "good.wav", 0.5)
    write_tone(folder / "long.wav", 2.0)
    write_tone(folder / "short.flac", 0.01)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("this is no audio at all")
    (folder / "cut.wav").write_bytes((folder / "good.wav").read_bytes()[:5000])
    (folder / "odd.pcm").write_bytes(b"x")
    rows = [
        "utterance_id,user_id,audio,duration_s,transcript",
        "good,john,good.wav,,yes",
        "long,john,long.wav,0.5,yes",  # the audio decides
        "short,john,short.flac,,yes",
        "missing,john,missing.wav,1.0,yes",
        "empty,john,empty.wav,,yes",
        "text,john,text.wav,1.0,yes",
        "cut,john,cut.wav,,yes",
        "odd,john,odd.pcm,,yes",
        "silent,john,good.wav,, ",
        "good,john,good.wav,,again",
        "nobodys,,good.wav,,yes",
        "duration,john,good.wav,-1,yes",
        "cells,john,good.wav",
        "corrected,john,good.wav,40.0,yes",
        "two faults,mary,missing.wav,, ",
    ]
    (folder / "corpus.csv").write_text("\n".join(rows) + "\n")
    return str(folder / "corpus.csv")


REASONS = {
    "long": "longer than 1 s",
    "short": "shorter than 0.1 s",
    "missing": "there is no such file",
    "empty": "is empty (0 bytes)",
    "text": "cannot be decoded as audio",
    "cut": "is truncated",
    "odd": "holds no samples",
    "silent": "is empty",
    "good": "already the id of line 2",
    "nobodys": "no user is named",
    "duration": "not a duration",
    "": "3 cells, but the header has 5",
    "two faults": "there is no such file",
}


class TestBadRows:
    @pytest.fixture
    def corpus(self, tmp_path: Path) -> str:
        (tmp_path / "in").mkdir()
        return bad_corpus(tmp_path / "in")

    def test_each_is_told_with_its_place_and_the_counts_add_up(
        self, corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output = str(tmp_path / "out")
        prepare(corpus, output, data=replace(DROP, max_duration_s=1.0))
        (row,) = packed_users(output).values()
        assert (row["user_id"], row["num_utterances"], row["speech_s"]) == ("john", 2, 1.0)
        with open(tmp_path / "out/dropped.csv", newline="") as file:
            dropped = list(csv.DictReader(file))
        assert len(dropped) == 14  # thirteen rows, one of which has two faults
        first = {d["utterance_id"]: d for d in reversed(dropped)}
        assert set(first) == set(REASONS)
        lines = Path(corpus).read_text().splitlines()
        for name, entry in first.items():
            assert entry["reason"].startswith(REASONS[name]), entry
            assert (entry["manifest"], lines[int(entry["line"]) - 1].split(",")[0]) == (corpus, name or "cells")
            assert entry["remedy"]
        assert first["text"]["value"] == str(tmp_path / "in/text.wav")
        assert (first["text"]["user_id"], first["text"]["column"]) == ("john", "audio")
        out = capsys.readouterr().out
        assert "rows: 15 read = 2 packed (0.00 h) + 13 left out" in out
        counts = [int(count) for count in re.findall(r"^ {4} *(\d+)  \S", out, re.MULTILINE)]
        assert sum(counts) == 13
        assert "2  audio there is no such file" in out
        assert "durations of the manifest replaced by the audio's own: 1" in out

    def test_rows_are_counted_the_same_by_a_dry_run_that_writes_nothing(
        self, corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        prepare(corpus, str(tmp_path / "out"), data=replace(DROP, max_duration_s=1.0), dry_run=True)
        out = capsys.readouterr().out
        assert "corpus.csv: manifest, 15 rows" in out
        assert "1 users: 0 unchanged, 1 to read and pack" in out
        assert "13 left out:" in out
        assert not (tmp_path / "out").exists()

    def test_refused_rows_are_listed_at_once_and_nothing_is_written(self, corpus: str, tmp_path: Path) -> None:
        output = str(tmp_path / "out")
        strict = DataConfig(max_duration_s=1.0, bad_audio=BadRows.refuse)
        with pytest.raises(InputError) as error:
            prepare(corpus, output, data=strict)
        listed = str(error.value).splitlines()
        assert "14 rows cannot be used" in listed[0]
        for name, reason in REASONS.items():
            place = f"id={name} " if name else "cells,john"
            assert any(place in line and reason in line for line in listed[1:]), name
        # by default only rows that no table may hold are refused
        with pytest.raises(InputError, match="4 rows cannot be used"):
            prepare(corpus, output, data=DataConfig())
        assert not (tmp_path / "out").exists()

    def test_repaired_audio_is_found_by_the_next_run(self, corpus: str, tmp_path: Path) -> None:
        output = str(tmp_path / "out")
        prepare(corpus, output)
        assert packed_users(output)["john"]["num_utterances"] == 3
        before = files(output)
        prepare(corpus, output)  # tried again, with the same result
        assert files(output) == before
        write_tone(tmp_path / "in/text.wav", 0.5, 500)
        prepare(corpus, output)
        assert packed_users(output)["john"]["num_utterances"] == 4

    def test_where_nothing_is_usable_the_table_stays_as_it_was(self, tmp_path: Path) -> None:
        source, output = write_users(tmp_path / "in", 2), str(tmp_path / "out")
        prepare(source, output)
        before = packed_users(output)
        for path in (tmp_path / "in/audio").iterdir():
            path.unlink()
        with pytest.raises(InputError, match="none of its rows can be packed") as error:
            prepare(source, output)
        assert "4  audio there is no such file" in str(error.value)
        assert packed_users(output) == before

    def test_damage_behind_the_header_is_found_by_decoding(self, tmp_path: Path) -> None:
        source, output = write_users(tmp_path / "in", 2), str(tmp_path / "out")
        flac = Path(write_tone(tmp_path / "in/audio/u001-1.flac", 2.0))
        flac.write_bytes(flac.read_bytes()[:-2000])
        edit(source, {"u001-1.wav": "u001-1.flac"})
        prepare(source, output)
        assert packed_users(output)["u001"]["num_utterances"] == 2
        prepare(source, output, PrepareConfig(decode_audio=True))
        assert packed_users(output)["u001"]["num_utterances"] == 1


def test_odd_addresses_are_bad_rows(tmp_path: Path) -> None:
    folder = odd_folder(tmp_path)
    odd = odd_audio(folder)
    write_tone(folder / "good.wav", 0.5)
    addresses = {"good": "good.wav"} | {name: uri for name, (uri, _) in odd.items()}
    of_john: dict[str, object] = {"user_id": "john", "transcript": "yes"}
    rows = [{"utterance_id": f"u-{name}", "audio": uri, **of_john} for name, uri in addresses.items()]
    corpus = write_rows(folder / "corpus.jsonl", rows)
    prepare(corpus, str(tmp_path / "out"))
    with (tmp_path / "out" / "dropped.csv").open(encoding="utf-8") as file:
        told = {row["utterance_id"]: row["reason"] for row in csv.DictReader(file)}
    assert told.keys() == {f"u-{name}" for name in odd}
    assert [name for name, (_, why) in odd.items() if why not in told[f"u-{name}"]] == []
