"""Columns that a setting names, read along with the manifest."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ds2ray.errors import ConfigError, InputError
from ds2ray.evaluation.columns import read_with_columns
from ds2ray.tables.manifest import read_manifest

HEADER = "audio,transcript,speaker,Recorded With,age\n"
ROWS = "a.wav,on,ann,phone,30\nb.wav,off,bob,,41\n"


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "test.csv"
    path.write_text(HEADER + ROWS)
    return str(path)


def test_cells_are_read_by_line_beside_the_utterances(table: str) -> None:
    manifest, cells = read_with_columns(table, ["age", "recorded with", "user_id", "duration_s"])
    assert manifest.utterances == read_manifest(table).utterances
    assert manifest.unknown_columns == []
    assert cells.columns == ("age", "recorded_with", "user_id", "duration_s")
    assert {line: row["age"] for line, row in cells.by_line.items()} == {2: "30", 3: "41"}
    assert {line: row["recorded_with"] for line, row in cells.by_line.items()} == {2: "phone", 3: ""}


def test_columns_that_nobody_asks_for_are_told(table: str) -> None:
    manifest, cells = read_with_columns(table, ["age"])
    assert manifest.unknown_columns == ["Recorded With"]
    assert cells.columns == ("age",)


def test_a_column_that_is_read_as_ours_may_be_named_as_it_is_written(table: str) -> None:
    manifest, cells = read_with_columns(table, ["speaker", "age"])
    assert cells.columns == ("user_id", "age")
    assert [utterance.user_id for utterance in manifest.utterances] == ["ann", "bob"]


def test_a_column_beside_ours_that_could_be_read_as_ours_is_one_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    path.write_text("audio,transcript,user_id,speaker\na.wav,on,ann,child\n")
    manifest, cells = read_with_columns(str(path), ["speaker"])
    assert cells.columns == ("speaker",)
    assert (manifest.utterances[0].user_id, cells.by_line[2]["speaker"]) == ("ann", "child")


@pytest.mark.parametrize("name", ["test.jsonl", "test.parquet"])
def test_other_formats(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"audio": [b"RIFF", b"RIFF"], "transcript": ["on", "off"], "age": [30, None]}), path)
    else:
        path.write_text('{"audio": "a.wav", "transcript": "on", "age": 30}\n{"audio": "b.wav", "transcript": "off"}\n')
    manifest, cells = read_with_columns(str(path), ["age"])
    assert len(manifest.utterances) == 2
    assert [row.get("age") for row in cells.by_line.values()] == [30, None]


def test_a_column_that_is_not_there_is_told_with_those_that_are(table: str) -> None:
    with pytest.raises(ConfigError) as told:
        read_with_columns(table, ["agee"])
    assert str(told.value) == (
        f"by: {table} has no column agee (did you mean age?); it has audio, transcript, speaker, recorded_with, age"
    )


@pytest.mark.parametrize("name", ["audio", "Audio"])
def test_audio_groups_nothing(table: str, name: str) -> None:
    with pytest.raises(ConfigError, match="every utterance has its own audio"):
        read_with_columns(table, [name])


def test_a_manifest_without_transcripts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    path.write_text("audio,age\na.wav,30\n")
    with pytest.raises(InputError, match="the table has no column transcript"):
        read_with_columns(str(path), ["age"])


def test_bad_rows_are_problems_as_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    path.write_text("audio,transcript,age\n,on,30\na.wav,off,31\nb.wav,off\n")
    manifest, cells = read_with_columns(str(path), ["age"])
    assert [utterance.transcript for utterance in manifest.utterances] == ["off"]
    assert [problem.line for problem in manifest.problems] == [2, 4]
    assert cells.by_line[3]["age"] == "31"
