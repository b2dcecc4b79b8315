"""Packing from corpus to tables: what is stored, what a further run leaves alone, and what is left out."""

import csv
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora import write_tone, write_users
from sounds import encoded, warble

from ds2ray import storage
from ds2ray.commands.prepare import run
from ds2ray.config import BadRows, DataConfig, PackBy, PrepareConfig, PrepareJob
from ds2ray.errors import ConfigError, InputError, InterruptedRunError
from ds2ray.packs.files import content_version, read_shard
from ds2ray.sound.audio import read_waveform
from ds2ray.store import Store
from ds2ray.store.lease import held
from ds2ray.tables.manifest import read_manifest

DROP = DataConfig(bad_rows=BadRows.drop)
SHARDS = PrepareConfig(by=PackBy.shard, shard_mb=0.02)


def prepare(
    source: str, output: str, prepare: PrepareConfig | None = None, data: DataConfig = DROP, dry_run: bool = False
) -> None:
    job = PrepareJob(source=source, output=output, prepare=prepare or PrepareConfig(), data=data, dry_run=dry_run)
    assert run(job) == 0


def files(folder: str) -> dict[str, int]:
    """Packs by path from the output, with the time of their last change in ns."""
    root = Path(folder)
    return {str(p.relative_to(root)): p.stat().st_mtime_ns for p in root.rglob("*.*.parquet")}


def packed_users(output: str) -> dict[str, dict[str, Any]]:
    return {row["user_id"]: row for row in storage.read_table(f"{output}/users.parquet").to_pylist()}


def edit(path: str, changes: Mapping[str, str]) -> None:
    text = Path(path).read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    Path(path).write_text(text)


class TestUsers:
    def test_audio_transcripts_and_durations_are_those_of_the_corpus(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source, output = write_users(tmp_path / "in", 3), str(tmp_path / "out")
        prepare(source, output)
        given = read_manifest(source).utterances
        rows = packed_users(output)
        assert list(rows) == ["u000", "u001", "u002"]
        for user_id, row in rows.items():
            own = [u for u in given if u.user_id == user_id]
            manifest = read_manifest(storage.resolve(row["manifest"], f"{output}/users.parquet"))
            assert manifest.problems == []
            assert manifest.utterances == [
                replace(u, audio=storage.read_bytes(str(u.audio)), duration_s=0.3, line=line)
                for line, u in enumerate(own, start=1)
            ]
            assert row["version"] == content_version(manifest.utterances)
            assert row["manifest"] == f"users/{user_id}.{row['version']}.parquet"
            assert (row["num_utterances"], row["speech_s"]) == (2, 0.6)
        assert (tmp_path / "out/dropped.csv").read_text().count("\n") == 1
        out = capsys.readouterr().out
        assert "rows: 6 read = 6 packed (0.00 h) + 0 left out" in out
        assert "packs: 3 written, 0 with the content they had, 0 unchanged" in out

    def test_only_what_changed_is_written_again(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        source, output = write_users(tmp_path / "in", 20), str(tmp_path / "out")
        prepare(source, output)
        before, table = files(output), packed_users(output)
        prepare(source, output)
        assert files(output) == before
        assert "packs: 0 written, 0 with the content they had, 20 unchanged" in capsys.readouterr().out

        edit(source, {"u003-0.wav,sentence 0": "u003-0.wav,another sentence", "u007-1,u007,": "u007-9,u007,"})
        write_tone(tmp_path / "in/audio/u012-0.wav", 0.3, 999, 8000)  # as long as before
        (tmp_path / "in/audio/u015-0.wav").touch()  # newer, and the same
        prepare(source, output)
        after = packed_users(output)
        assert [user for user in after if after[user] != table[user]] == ["u003", "u007", "u012"]
        assert {name: files(output).get(name) for name in before} == before
        assert len(files(output)) == 23
        assert "packs: 3 written, 1 with the content they had, 16 unchanged" in capsys.readouterr().out

    def test_superseded_packs_outlive_the_table_that_named_them_by_one_run(self, tmp_path: Path) -> None:
        source, output = write_users(tmp_path / "in", 3), str(tmp_path / "out")
        (tmp_path / "out/users").mkdir(parents=True)
        (tmp_path / "out/users/notes.parquet").write_text("not ours")
        prepare(source, output)
        first = packed_users(output)
        edit(source, {"u001-0.wav,sentence 0": "u001-0.wav,hello"})
        rows = (tmp_path / "in/corpus.csv").read_text().splitlines()
        (tmp_path / "in/corpus.csv").write_text("\n".join(row for row in rows if ",u002," not in row) + "\n")
        prepare(source, output)
        second = packed_users(output)
        assert list(second) == ["u000", "u001"]
        # whoever goes by the first table still finds everything
        assert set(files(output)) == {row["manifest"] for table in (first, second) for row in table.values()}
        prepare(source, output)
        assert set(files(output)) == {row["manifest"] for row in second.values()}
        assert packed_users(output) == second
        assert (tmp_path / "out/users/notes.parquet").exists()

    def test_one_run_at_a_time(self, tmp_path: Path) -> None:
        source, output = write_users(tmp_path / "in", 2), str(tmp_path / "out")
        with (
            held(Store(f"{output}/users"), "nightly"),
            pytest.raises(InterruptedRunError, match="run nightly on .* at work"),
        ):
            prepare(source, output)
        assert files(output) == {}
        prepare(source, output)
        assert list(packed_users(output)) == ["u000", "u001"]

    def test_tightened_limits_reach_users_that_are_packed_already(self, tmp_path: Path) -> None:
        source, output = write_users(tmp_path / "in", 2), str(tmp_path / "out")
        write_tone(tmp_path / "in/audio/u001-1.wav", 0.9)
        prepare(source, output)
        prepare(source, output, data=replace(DROP, max_duration_s=0.5))
        assert [(u, row["num_utterances"]) for u, row in packed_users(output).items()] == [("u000", 2), ("u001", 1)]


class TestShards:
    def test_the_manifest_tells_where_each_utterance_lies(self, tmp_path: Path) -> None:
        source, output = write_users(tmp_path / "in", 10), str(tmp_path / "out")
        prepare(source, output, SHARDS)
        given = {u.utterance_id: u for u in read_manifest(source).utterances}
        table = storage.read_table(f"{output}/manifest.parquet")
        assert table.column_names == [
            *("utterance_id", "user_id", "shard", "row_group", "row", "duration_s", "transcript"),
        ]
        rows = table.to_pylist()
        assert sorted(row["utterance_id"] for row in rows) == sorted(given)
        shards = {path: list(read_shard(f"{output}/{path}")) for path in sorted({row["shard"] for row in rows})}
        assert len(shards) == 5  # 20 utterances of 4.8 KB
        for row in rows:
            found = shards[row["shard"]][row["row"] - 1]
            u = given[row["utterance_id"]]
            expected = replace(u, audio=storage.read_bytes(str(u.audio)), duration_s=0.3, line=row["row"])
            assert found == expected
            assert found in list(read_shard(f"{output}/{row['shard']}", [row["row_group"]]))
            assert (row["user_id"], row["transcript"], row["duration_s"]) == (u.user_id, u.transcript, 0.3)
        for path, utterances in shards.items():
            assert re.fullmatch(r"shards/shard-\d{5}\.[0-9a-f]{32}\.parquet", path)
            assert path.split(".")[1] == content_version(utterances)

    def test_only_shards_that_changed_are_written_again(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source, output = write_users(tmp_path / "in", 10), str(tmp_path / "out")
        prepare(source, output, SHARDS)
        first = files(output)
        capsys.readouterr()
        prepare(source, output, SHARDS)
        assert files(output) == first
        edit(source, {"u003-0.wav,sentence 0": "u003-0.wav,another sentence"})
        prepare(source, output, SHARDS)
        assert "packs: 1 written, 0 with the content they had, 4 unchanged" in capsys.readouterr().out
        transcripts = storage.read_table(f"{output}/manifest.parquet")["transcript"].to_pylist()
        assert (len(transcripts), transcripts.count("another sentence")) == (20, 1)
        assert {name: files(output).get(name) for name in first} == first


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

    def test_source_and_output_have_to_be_given_and_differ(self, tmp_path: Path) -> None:
        for job in (PrepareJob(output="x"), PrepareJob(source="x")):
            with pytest.raises(ConfigError, match="is missing"):
                run(job)
        with pytest.raises(ConfigError, match="is the corpus itself"):
            run(PrepareJob(source=str(tmp_path), output=f"{tmp_path}/"))


def test_channels_that_are_not_ordinary_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in"
    source.mkdir()
    speech = warble(16000)
    for name, other in (("a", -speech), ("b", -speech), ("c", speech)):
        (source / f"{name}.wav").write_bytes(encoded(np.stack([speech, other], axis=1), "WAV"))
        (source / f"{name}.txt").write_text("hello")
    prepare(str(source), str(tmp_path / "out"), PrepareConfig(by=PackBy.shard, decode_audio=True))
    assert "  channels of 2: averaged channels 1, 2 of 2; 2 of opposite phase" in capsys.readouterr().out


def test_audio_that_is_odd_but_whole_is_packed(tmp_path: Path) -> None:
    """Packs keep the bytes of such files, and what reads packs reads them as well."""
    source = tmp_path / "in"
    source.mkdir()
    speech = warble(16000)
    piped = bytearray(encoded(speech, "WAV"))
    piped[40:44] = bytes(4)
    audio = {
        "gsm.wav": encoded(speech, "WAV", subtype="GSM610"),
        "odd.pcm": (speech * 32767).astype("<i2").tobytes() + b"x",
        "piped.wav": bytes(piped),
        "twice.ogg": 2 * encoded(speech, "OGG"),
        "twice.mp3": 2 * encoded(speech, "MP3"),
    }
    for name, data in audio.items():
        (source / name).write_bytes(data)
        (source / name).with_name(f"{name.partition('.')[0]}.txt").write_text("hello")
    (source / "twice.mp3").rename(source / "double.mp3")
    (source / "double.txt").write_text("hello")
    prepare(str(source), str(tmp_path / "out"), PrepareConfig(by=PackBy.shard, decode_audio=True))
    (shard,) = (tmp_path / "out" / "shards").glob("shard-*.parquet")
    packed = {u.utterance_id: u for u in read_shard(str(shard))}
    expected_s = {"gsm": 1.0, "odd": 1.0, "piped": 1.0, "twice": 2.0, "double": 2.0}
    assert {key: round(u.duration_s or 0.0, 2) for key, u in packed.items()} == expected_s
    lengths = {key: len(read_waveform(u.audio, 16000)) for key, u in packed.items()}
    assert lengths == {key: 16000 * seconds for key, seconds in expected_s.items()}
