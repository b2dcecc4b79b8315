"""Tables with the columns that other programs write."""

import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from pages import ROOT
from table_cases import CASES, needs_cases

from ds2ray import storage
from ds2ray.config import DataConfig
from ds2ray.errors import InputError
from ds2ray.tables.columns import ALIASES, columns_read
from ds2ray.tables.manifest import COLUMNS, Manifest, Utterance, read_manifest, write_manifest
from ds2ray.tables.notes import reading_notes
from ds2ray.tables.users import read_fleet, read_users


def sentences(manifest: Manifest) -> list[tuple[str, str, str]]:
    return [(u.utterance_id, u.user_id, u.transcript) for u in manifest.utterances]


def flac() -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(1600), 16000, format="FLAC")
    return buffer.getvalue()


@needs_cases
@pytest.mark.parametrize("name", ["nemo.jsonl", "header_spaces_case.csv", "hf_struct.parquet"])
def test_the_samples_say_the_same(name: str) -> None:
    manifest = read_manifest(str(CASES / "tables" / name))
    assert manifest.problems == []
    assert len(manifest.utterances) == 12
    assert sentences(manifest)[0] == ("tony-adapt-0000", "tony", "order three bottles of coffee today")
    assert sentences(manifest)[11] == ("gary-adapt-0005", "gary", "print five copies of the report now")
    assert manifest.utterances[0].duration_s == 1.9203125
    audio = manifest.utterances[0].audio
    assert storage.read_bytes(audio)[:4] == b"fLaC" if isinstance(audio, str) else audio[:4] == b"fLaC"


@needs_cases
def test_the_empty_sample_has_no_rows() -> None:
    assert read_manifest(str(CASES / "tables" / "empty.csv")).utterances == []


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("audio_filepath,duration,text,speaker", "{audio},1.5,hello,ann"),  # NeMo
        ("ID,duration,wav,spk_id,wrd", "7,1.5,{audio},ann,hello"),  # SpeechBrain
        ("file_name,transcription,speaker_id", "{audio},hello,ann"),  # Hugging Face's AudioFolder
        ("wav_filename,wav_filesize,transcript,user", "{audio},3200,hello,ann"),  # DeepSpeech
        ("Audio File,Text,Speaker-ID", "{audio},hello,ann"),  # a spreadsheet
        ("\ufeff UTTERANCE ID , User_Id,AUDIO,Duration_S,TRANSCRIPT ", "a,ann,{audio},1.5,hello"),
    ],
)
def test_tables_of_other_programs(tmp_path: Path, header: str, row: str) -> None:
    (tmp_path / "m.csv").write_text(f"{header}\n{row.format(audio='wav/a.wav')}\n", encoding="utf-8")
    manifest = read_manifest(str(tmp_path / "m.csv"))
    assert sentences(manifest) == [("a", "ann", "hello")]
    assert manifest.utterances[0].audio == str(tmp_path / "wav/a.wav")
    assert manifest.problems == []


def test_what_is_read_by_another_name_is_told_and_our_own_name_comes_first(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,audio,text,sentence\nx.wav,a.wav,hello,bye\n")
    manifest = read_manifest(str(tmp_path / "m.csv"))
    assert sentences(manifest) == [("a", "", "hello")]
    assert reading_notes([manifest]) == [
        "tables whose column 'text' is read as transcript: 1",
        "columns not known, ignored: path, sentence",
    ]


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".jsonl.gz", ".csv.gz", ".tsv"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    rows = [{"audio_filepath": f"{name}.wav", "text": name, "speaker": "ann"} for name in ("a", "b")]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if "json" not in suffix:
        separator = "\t" if suffix == ".tsv" else ","
        table = [list(rows[0]), *(list(row.values()) for row in rows)]
        lines = "".join(separator.join(cells) + "\n" for cells in table)
    data = lines.encode()
    (tmp_path / f"m{suffix}").write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
    assert sentences(read_manifest(str(tmp_path / f"m{suffix}"))) == [("a", "ann", "a"), ("b", "ann", "b")]


@pytest.mark.parametrize(
    "document",
    [
        [{"wav": "a.wav", "words": "hello"}, {"wav": "b.wav", "words": "bye"}],
        {"a": {"wav": "a.wav", "words": "hello"}, "b": {"wav": "b.wav", "words": "bye"}},  # SpeechBrain's
    ],
)
def test_one_json_document(tmp_path: Path, document: Any) -> None:
    (tmp_path / "m.json").write_text(json.dumps(document, indent=2))
    assert sentences(read_manifest(str(tmp_path / "m.json"))) == [("a", "", "hello"), ("b", "", "bye")]


def test_a_damaged_gzip_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(b"audio,transcript\n" + b"a.wav,x\n" * 99)
    for data in (packed[:-9], b"audio,transcript\n", packed[:20] + b"\0\0\0" + packed[23:]):
        (tmp_path / "m.csv.gz").write_bytes(data)
        with pytest.raises(InputError, match="m.csv.gz: cannot be unpacked"):
            read_manifest(str(tmp_path / "m.csv.gz"))


def test_what_unpacks_to_any_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ds2ray.tables.formats.MAX_BYTES", 5000)
    (tmp_path / "m.csv.gz").write_bytes(gzip.compress(b"audio,transcript\n" + b"a.wav,x\n" * 10_000))
    with pytest.raises(InputError, match=r"m\.csv\.gz: is larger than the "):
        read_manifest(str(tmp_path / "m.csv.gz"))


def test_gzip_is_written_where_the_name_says_so(tmp_path: Path) -> None:
    utterances = [Utterance("a", "ann", str(tmp_path / "a.wav"), 1.0, "안녕", 2)]
    write_manifest(str(tmp_path / "m.csv.gz"), utterances)
    assert gzip.decompress((tmp_path / "m.csv.gz").read_bytes()).decode().endswith("a,ann,a.wav,1.0,안녕\n")
    assert read_manifest(str(tmp_path / "m.csv.gz")).utterances == utterances


def test_hugging_face_s_struct_of_bytes_and_path(tmp_path: Path) -> None:
    audio = [
        {"bytes": flac(), "path": "clips/one.flac"},
        {"bytes": None, "path": "two.flac"},
        {"bytes": flac(), "path": None},
        {"bytes": None, "path": None},
        None,
    ]
    columns = {"audio": audio, "sentence": ["a", "b", "c", "d", "e"], "client_id": ["ann"] * 5}
    storage.write_table(str(tmp_path / "m.parquet"), pa.table(columns))
    manifest = read_manifest(str(tmp_path / "m.parquet"))
    one, two, three = manifest.utterances
    assert (one.utterance_id, one.audio) == ("one", flac())
    assert (two.utterance_id, two.audio) == ("two", str(tmp_path / "two.flac"))
    assert three.utterance_id.startswith("audio-")
    assert [(problem.line, problem.column) for problem in manifest.problems] == [(4, "audio"), (5, "audio")]


def test_decoded_samples_are_refused_with_the_remedy(tmp_path: Path) -> None:
    row = {"audio": {"array": [0.0, 0.1], "sampling_rate": 16000}, "text": "a"}
    (tmp_path / "m.jsonl").write_text(json.dumps(row) + "\n")
    (problem,) = read_manifest(str(tmp_path / "m.jsonl")).problems
    assert "decoded samples" in problem.reason
    assert "Audio(decode=False)" in problem.remedy


@pytest.mark.parametrize(
    ("offset", "times"),
    [(0, "#t=0,1"), (None, ""), ("", ""), (2.5, "#t=2.5,3.5"), ("2.5", "#t=2.5,3.5"), ("x", None), (-1, None)],
)
def test_nemo_s_offset_makes_an_excerpt(tmp_path: Path, offset: Any, times: str | None) -> None:
    row = {"audio_filepath": "long.wav", "text": "a", "duration": 1.0, "offset": offset}
    (tmp_path / "m.jsonl").write_text(json.dumps(row) + "\n")
    manifest = read_manifest(str(tmp_path / "m.jsonl"))
    assert [problem.column for problem in manifest.problems] == ["start_s"] * (times is None)
    assert [(u.audio, u.duration_s, u.utterance_id) for u in manifest.utterances] == [
        (f"{tmp_path}/long.wav{times}", 1.0, "long")
    ] * (times is not None)


def test_common_voice_named_as_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text('client_id\tpath\tsentence\nann\tone.mp3\tShe said "hello.\nbob\ttwo\tBye.\n')
    manifest = read_manifest(str(tmp_path / "train.tsv"))
    assert sentences(manifest) == [("one", "ann", 'She said "hello.'), ("two", "bob", "Bye.")]
    assert manifest.utterances[1].audio == str(tmp_path / "clips/two.mp3")


def test_a_row_of_json_lines_is_no_object_of_rows(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"audio": {"path": "a.wav", "bytes": null}}\n')
    manifest = read_manifest(str(tmp_path / "m.jsonl"), transcripts_required=False)
    assert [u.audio for u in manifest.utterances] == [str(tmp_path / "a.wav")]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("Audio,audio ,text\na.wav,b.wav,x\n")
    with pytest.raises(InputError, match=r"m.csv: column audio is there more than once: 'Audio', 'audio'"):
        read_manifest(str(tmp_path / "m.csv"))
    rows = [{"Audio": "a.wav", "audio": "b.wav", "text": "x"}, {"audio": "c.wav", "text": "x"}]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = read_manifest(str(tmp_path / "m.jsonl"))
    assert [problem.line for problem in manifest.problems] == [1]  # one row's fault is one row's
    assert sentences(manifest) == [("c", "", "x")]


def test_the_page_on_data_lists_all_names() -> None:
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    for ours, others in ALIASES.items():
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{ours}` | `"))
        assert re.findall(r"`(\w+)`", row) == [ours, *others]


def test_no_name_means_two_columns() -> None:
    names = [name for others in ALIASES.values() for name in others]
    assert len(set(names)) == len(names)
    assert set(COLUMNS).isdisjoint(names)
    for ours, others in ALIASES.items():
        for other in others:
            assert columns_read([other.upper()], [ours]) == {ours: other.upper()}


def test_whom_another_program_calls_the_speaker_is_the_row_s_user(tmp_path: Path) -> None:
    (tmp_path / "ann.jsonl").write_text('{"audio_filepath": "a.wav", "text": "x", "speaker": "spk7"}\n')
    (tmp_path / "bob.csv").write_text("audio,transcript,user_id\nb.wav,x,ann\n")
    (tmp_path / "users.csv").write_text("User,Manifest\nann,ann.jsonl\nbob,bob.csv\n")
    users, problems = read_users(str(tmp_path / "users.csv"), DataConfig())
    assert problems == []
    assert [(u.user_id, [v.user_id for v in u.utterances], len(u.problems)) for u in users] == [
        ("ann", ["ann"], 0),
        ("bob", [], 1),  # a user_id of our own that says another user is a mistake
    ]


def test_a_fleet_in_one_manifest_of_nemo(tmp_path: Path) -> None:
    rows = [{"audio_filepath": f"{user}/0.wav", "text": "x", "speaker": user} for user in ("ann", "bob")]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    fleet = read_fleet(str(tmp_path / "m.jsonl"), DataConfig())
    assert {user.user_id: [u.utterance_id for u in user.utterances] for user in fleet.users} == {
        "ann": ["ann/0"],
        "bob": ["bob/0"],
    }
    assert fleet.notes["tables whose column 'speaker' is read as user_id"] == 1
