import io
import json
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from ds2ray import storage
from ds2ray.errors import InputError
from ds2ray.tables.manifest import Manifest, Utterance, read_manifest, write_manifest
from ds2ray.tables.problems import ProblemKind

SUFFIXES = ("csv", "jsonl", "parquet")


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def found(manifest: Manifest) -> list[tuple[int, str, str]]:
    """Line, column and shown value of every problem."""
    return [(problem.line, problem.column, problem.value) for problem in manifest.problems]


@pytest.fixture(params=["local", "memory"])
def folder_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_reads_what_was_written_by_any_uri(folder_uri: str, suffix: str) -> None:
    uri = storage.join(folder_uri, "tables", f"all.{suffix}")
    utterances = [
        Utterance("a", "ann", storage.join(folder_uri, "tables", "a.wav"), 1.25, 'say "one, two"\nthree', 2),
        Utterance("b", "", storage.join(folder_uri, "audio", "b, c.flac"), None, "가나 다", 4),
        Utterance("c", "ann", "s3://elsewhere/c.ogg", 0.1 + 0.2, "", 5),
    ]
    write_manifest(uri, utterances)
    manifest = read_manifest(uri)
    assert [replace(u, line=0) for u in manifest.utterances] == [replace(u, line=0) for u in utterances]
    assert (manifest.uri, manifest.problems, manifest.unknown_columns) == (uri, [], [])
    lines = [u.line for u in manifest.utterances]
    assert lines == {"csv": [2, 4, 5], "jsonl": [1, 2, 3], "parquet": [1, 2, 3]}[suffix]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5), st.sampled_from(SUFFIXES))
def test_any_transcript_survives(transcripts: list[str], suffix: str) -> None:
    uri = f"memory://transcripts/all.{suffix}"
    write_manifest(uri, [Utterance(f"u{i}", "", f"/a/{i}.wav", None, text, 0) for i, text in enumerate(transcripts)])
    assert [u.transcript for u in read_manifest(uri).utterances] == transcripts


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_it_tells_which_transcripts_were_corrected(tmp_path: Path, suffix: str) -> None:
    uri = str(tmp_path / f"m.{suffix}")
    rows = [Utterance(name, "", f"/{name}.wav", 1.0, "said", 2, corrected=name == "b") for name in "abc"]
    write_manifest(uri, rows)
    assert [u.corrected for u in read_manifest(uri).utterances] == [False, True, False]
    write_manifest(uri, rows[:1])
    assert b"corrected" not in storage.read_bytes(uri)  # as ever, where nobody has corrected any


def test_corrected_is_true_or_false_in_whatever_way_people_write_it(tmp_path: Path) -> None:
    cells = ["true", "TRUE", " yes ", "1", "", "no", "False", "0", "maybe", "2"]
    lines = [f"{n}.wav,said,{cell}" for n, cell in enumerate(cells)]
    manifest = read_manifest(write(tmp_path / "m.csv", "\n".join(["audio,transcript,corrected", *lines])))
    assert [u.corrected for u in manifest.utterances] == [True] * 4 + [False] * 4
    assert found(manifest) == [(10, "corrected", "'maybe'"), (11, "corrected", "'2'")]
    assert "write true, or leave the cell empty" in str(manifest.problems[0])


def test_relative_audio_starts_from_the_manifest_and_moves_with_it(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    write_manifest(str(old / "tables/m.csv"), [Utterance("a", "", str(old / "audio/~a.wav"), None, "x", 0)])
    assert "../audio/~a.wav" in (old / "tables/m.csv").read_text()
    old.rename(new)
    assert read_manifest(str(new / "tables/m.csv")).utterances[0].audio == str(new / "audio/~a.wav")


def test_audio_is_absolute_from_any_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "m.csv", "audio,transcript\na.wav,x\n../b.wav,y\n/c.wav,z\n")
    monkeypatch.chdir(tmp_path)
    audio = [u.audio for u in read_manifest("data/m.csv").utterances]
    assert audio == [str(tmp_path / "data/a.wav"), str(tmp_path / "b.wav"), "/c.wav"]
    write_manifest("data/n.csv", [Utterance("a", "", "data/a.wav", None, "x", 0)])
    assert "a,,a.wav,,x\n" in (tmp_path / "data/n.csv").read_text()
    write_manifest("data/n.csv", [Utterance("a", "", "/data/a.wav", None, "x", 0)], audio_relative=False)
    assert "a,,/data/a.wav,,x\n" in (tmp_path / "data/n.csv").read_text()


def test_audio_can_be_bytes_inside_parquet(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(1600), 16000, format="FLAC")
    uri = str(tmp_path / "m.parquet")
    write_manifest(uri, [Utterance("", "ann", buffer.getvalue(), None, "x", 0) for _ in range(2)])
    first, second = read_manifest(uri).utterances
    assert first.audio == buffer.getvalue()
    assert first.utterance_id.startswith("audio-")
    assert second.utterance_id == f"{first.utterance_id}#2"  # the same in everything


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "mixed.parquet"])
def test_bytes_are_refused_where_they_cannot_be_written(tmp_path: Path, name: str) -> None:
    rows = [Utterance("a", "", b"RIFF", None, "x", 0), Utterance("b", "", "/b.wav", None, "x", 0)]
    with pytest.raises(InputError, match="audio as bytes"):
        write_manifest(str(tmp_path / name), rows)


def test_spreadsheet_exports_are_read_as_they_come(tmp_path: Path) -> None:
    content = "\ufeffaudio , transcript,utterance_id,duration_s,mood\r\n\r\n a.wav ,hello, u1 , 1.5 ,glad\r\n,,,,\r\n"
    manifest = read_manifest(write(tmp_path / "m.csv", content + '"b.wav","two\r\nlines, ""quoted""",u2,,sad\r\n'))
    first, second = manifest.utterances
    assert first == Utterance("u1", "", str(tmp_path / "a.wav"), 1.5, "hello", 3)
    assert second == Utterance("u2", "", str(tmp_path / "b.wav"), None, 'two\r\nlines, "quoted"', 5)
    assert manifest.unknown_columns == ["mood"]
    assert manifest.problems == []


def test_csv_problems_name_the_physical_line_where_the_row_starts(tmp_path: Path) -> None:
    rows = [
        "utterance_id,user_id,audio,duration_s,transcript",
        'u1,ann,a.wav,1,"two',
        'lines"',
        "u2,ann,b.wav,1,not quoted, and so split",  # line 4
        "u3,ann,,1,no audio",
        "",
        "u4,ann,d.wav,long,duration",  # line 7
        "u5,ann,e.wav,-1,duration",
        "u6,ann,f.wav,nan,duration",
        "u1,bob,g.wav,1,id used before",  # line 10
        "u7,ann",
        'u8,ann,h.wav,1,"quote" inside',  # line 12
        "u9,ann,i.wav,1,good",
        'u10,ann,j.wav,1,"never closed',  # line 14
        "u11,ann,k.wav,1,not swallowed",
    ]
    manifest = read_manifest(write(tmp_path / "m.csv", "\n".join(rows)))
    assert [(u.utterance_id, u.line) for u in manifest.utterances] == [("u1", 2), ("u9", 13), ("u11", 15)]
    assert found(manifest) == [
        (4, "", "'u2,ann,b.wav,1,not quoted, and so split'"),
        (5, "audio", "''"),
        (7, "duration_s", "'long'"),
        (8, "duration_s", "'-1'"),
        (9, "duration_s", "'nan'"),
        (10, "utterance_id", "'u1'"),
        (11, "", "'u7,ann'"),
        (12, "", "'u8,ann,h.wav,1,\"quote\" inside'"),
        (14, "", "'u10,ann,j.wav,1,\"never closed'"),
    ]
    assert {problem.kind for problem in manifest.problems} == {ProblemKind.row}
    texts = [str(problem) for problem in manifest.problems]
    assert texts[0].startswith(f"{tmp_path}/m.csv:4: 'u2,ann,")
    assert "6 cells, but the header has 5; put cells that hold a comma in double quotes" in texts[0]
    place = f"{tmp_path}/m.csv:10: id=u1 user=bob"
    assert texts[5] == f"{place} utterance_id='u1': already the id of line 2; give every utterance its own id"
    assert "a double quote opens a cell that is not closed before line 15" in texts[8]


def test_json_lines_problems_are_found_line_by_line(tmp_path: Path) -> None:
    good = {"audio": "a.wav", "transcript": "line\u2028separator", "user_id": 7, "mood": "glad"}
    rows = [
        json.dumps(good, ensure_ascii=False),
        "",
        '{"audio": "b.wav", "transcript"',  # line 3
        '["audio", "transcript"]',
        '{"audio": "c.wav"}',
        '{"audio": null, "transcript": "x", "language": "ko"}',  # line 6
        '{"audio": "d.wav", "transcript": 12, "duration_s": true}',
        '{"audio": "e.wav", "transcript": "x", "transcript": "y"}',  # line 8
        '{"audio": "f.wav", "transcript": "x", "duration_s": 1e999, "utterance_id": 1.5}',
        '{"audio": "g.wav", "transcript": "x", "duration_s": "2.5", "utterance_id": 10, "user_id": null}\r',
    ]
    manifest = read_manifest(write(tmp_path / "m.jsonl", "\n".join(rows)))
    assert manifest.utterances == [
        Utterance("a", "7", str(tmp_path / "a.wav"), None, "line\u2028separator", 1),
        Utterance("10", "", str(tmp_path / "g.wav"), 2.5, "x", 10),
    ]
    assert [(line, column) for line, column, _ in found(manifest)] == [
        (3, ""),
        (4, ""),
        (5, "transcript"),
        (6, "audio"),
        (7, "duration_s"),
        (7, "transcript"),
        (8, ""),
        (9, "utterance_id"),
        (9, "duration_s"),
    ]
    assert manifest.unknown_columns == ["mood", "language"]


def test_parquet_problems_name_the_row(tmp_path: Path) -> None:
    table = pa.table({"audio": ["a.wav", None, "c.wav"], "transcript": ["x", "y", None], "score": [1, 2, 3]})
    uri = str(tmp_path / "m.parquet")
    storage.write_table(uri, table)
    manifest = read_manifest(uri)
    assert [u.utterance_id for u in manifest.utterances] == ["a"]
    assert found(manifest) == [(2, "audio", "''"), (3, "transcript", "None")]
    assert str(manifest.problems[1]) == f"{uri} row 3: transcript=None: missing; give it"
    assert manifest.unknown_columns == ["score"]


def test_default_ids_are_unique_and_do_not_depend_on_the_order(tmp_path: Path) -> None:
    rows = ["utterance_id,audio,transcript", ",x/one.wav,a", ",y/one.wav,b", ",y/two.wav,c", "two,z.wav,d"]
    manifest = read_manifest(write(tmp_path / "m.csv", "\n".join(rows)))
    assert [u.utterance_id for u in manifest.utterances] == ["x/one", "y/one", "y/two", "two"]
    assert manifest.problems == []


def test_transcripts_may_be_absent_where_speech_is_only_recognised(tmp_path: Path) -> None:
    uri = write(tmp_path / "m.csv", "audio\na.wav\n")
    assert [u.transcript for u in read_manifest(uri, transcripts_required=False).utterances] == [""]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.txt", "audio,transcript\n", "must end in .csv, .tsv, .jsonl, .json, .parquet, and .gz"),
        ("m.csv", "", "the table is empty"),
        ("m.csv", "\n\n", "the table is empty"),
        ("m.csv", "place,said\na.wav,x\n", "no column audio or transcript; it has place, said.*one of text, sentence"),
        ("m.csv", "audios,transcripts\na.wav,x\n", "rename 'audios' to 'audio'.*rename 'transcripts' to 'transcript'"),
        ("m.csv", "audio;transcript\na.wav;x\n", "separated by commas"),
        ("m.csv", "audio,transcript,audio\n", "names column audio more than once"),
        ("m.csv", '"audio,transcript\na.wav,x\n', "m.csv:1: .*double quote"),
        ("m.csv", b"audio,transcript\na.wav,ok\nb.wav,caf\x81\n", "m.csv:3: byte 0x81 is not UTF-8"),
        ("m.csv", "audio,transcript\n".encode("utf-16")[:-1], "is not UTF-16"),
        ("m.parquet", "audio,transcript\n", "not a readable Parquet table"),
        ("missing.csv", None, "there is no such file"),
        ("missing.parquet", None, "there is no such file"),
    ],
)
def test_refuses_tables_that_are_none(tmp_path: Path, name: str, content: str | bytes | None, message: str) -> None:
    if content is not None:
        write(tmp_path / name, content)
    with pytest.raises(InputError, match=message) as error:
        read_manifest(str(tmp_path / name))
    assert str(tmp_path / name) in str(error.value)


def test_a_table_without_rows_is_an_empty_manifest(tmp_path: Path) -> None:
    assert read_manifest(write(tmp_path / "m.csv", "audio,transcript\n")) == Manifest(str(tmp_path / "m.csv"), [])


class TestExcerpts:
    """Rows that are a part of a recording."""

    @pytest.mark.parametrize(
        ("times", "audio", "duration_s"),
        [
            ("0,2.5,", "#t=0,2.5", 2.5),
            ("1,2.5,", "#t=1,2.5", 1.5),
            ("1,,1.5", "#t=1,2.5", 1.5),
            ("1,2.5,1.52", "#t=1,2.5", 1.5),
            (",2.5,", "#t=0,2.5", 2.5),
            ("1,,", "#t=1,", None),
            ("0,,", "", None),
            (",,3", "", 3.0),
        ],
    )
    def test_by_start_end_and_duration(self, tmp_path: Path, times: str, audio: str, duration_s: float | None) -> None:
        header = "audio,start_s,end_s,duration_s,transcript\n"
        manifest = read_manifest(write(tmp_path / "m.csv", f"{header}long.wav,{times},a\n"))
        (utterance,) = manifest.utterances
        assert (utterance.audio, utterance.duration_s) == (f"{tmp_path}/long.wav{audio}", duration_s)
        assert (utterance.utterance_id, manifest.unknown_columns) == ("long", [])

    def test_times_that_contradict_each_other(self, tmp_path: Path) -> None:
        rows = ["2,1,", "1,1,", "1,2.5,2", "nan,2,", "1,inf,", "-1,2,"]
        text = "".join(f"long.wav,{times},a\n" for times in rows)
        manifest = read_manifest(write(tmp_path / "m.csv", "audio,start_s,end_s,duration_s,transcript\n" + text))
        columns = ["end_s", "end_s", "duration_s", "start_s", "end_s", "start_s"]
        assert [problem.column for problem in manifest.problems] == columns
        assert manifest.problems[2].reason == "lasts 2 s, but from start_s to end_s it is 1.5 s"

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_they_are_written_and_have_ids_of_their_own(self, tmp_path: Path, suffix: str) -> None:
        rows = "long.wav,1,2.5,a\nlong.wav,0,1,b\nother.wav,3,4.25,c\n"
        manifest = read_manifest(write(tmp_path / "m.csv", "audio,start_s,end_s,transcript\n" + rows))
        assert [u.utterance_id for u in manifest.utterances] == ["long@1-2.5", "long@0-1", "other"]
        write_manifest(str(tmp_path / f"again.{suffix}"), manifest.utterances)
        again = read_manifest(str(tmp_path / f"again.{suffix}")).utterances
        assert [replace(u, line=0) for u in again] == [replace(u, line=0) for u in manifest.utterances]

    def test_of_bytes_they_are_refused_with_the_remedy(self, tmp_path: Path) -> None:
        columns = {"audio": [b"RIFF", b"RIFF"], "start_s": [0.25, None], "end_s": [0.5, None], "transcript": ["a", "b"]}
        storage.write_table(str(tmp_path / "m.parquet"), pa.table(columns))
        manifest = read_manifest(str(tmp_path / "m.parquet"))
        assert [u.audio for u in manifest.utterances] == [b"RIFF"]
        (problem,) = manifest.problems
        assert (problem.line, problem.column, "given as bytes" in problem.reason) == (1, "audio", True)
