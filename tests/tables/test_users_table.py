"""A users table, its rows with versions, and what is told of long readings."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray import storage
from ds2ray.config import BadRows, DataConfig
from ds2ray.errors import InputError
from ds2ray.progress import paced
from ds2ray.tables.manifest import Manifest, Utterance
from ds2ray.tables.rows import read_rows
from ds2ray.tables.users import read_fleet, read_users, stat_audio
from ds2ray.tables.users_table import USER_COLUMNS, UserTable, user_rows, user_table

DROP = DataConfig(bad_rows=BadRows.drop)


def write(folder: Path, content: str, name: str = "users.csv") -> str:
    (folder / name).write_text(content)
    return str(folder / name)


def read_table(uri: str) -> UserTable:
    return user_table(read_rows(uri, USER_COLUMNS))


def rows_of(table: UserTable) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in table.rows.to_pylist()]


def test_rows_with_a_version_are_sealed_and_the_others_read(tmp_path: Path) -> None:
    write(tmp_path, "audio,transcript\na.wav,one\n", "ann.csv")
    uri = write(
        tmp_path,
        "user_id,version,manifest,speech_s,num_utterances,team\n"
        "bob,v1,gone.parquet,61.5,20,x\nann,,ann.csv,,,y\n 7 , v2 ,s3://b/7.parquet,0,0,z\n",
    )
    fleet = read_fleet(uri, DataConfig())
    assert [(user.user_id, len(user.utterances)) for user in fleet.users] == [("ann", 1)]
    assert rows_of(fleet.table) == [
        ("bob", "gone.parquet", "v1", 61.5, 20, 2),
        ("7", "s3://b/7.parquet", "v2", 0.0, 0, 4),
    ]
    assert [row.manifest_uri for row in user_rows(fleet.table.rows, uri)] == [
        str(tmp_path / "gone.parquet"),
        "s3://b/7.parquet",
    ]
    assert fleet.unknown_columns == ["team"]


def test_without_versions_nothing_is_sealed(tmp_path: Path) -> None:
    write(tmp_path, "audio,transcript\na.wav,one\n", "ann.csv")
    fleet = read_fleet(write(tmp_path, "user_id,manifest\nann,ann.csv\n"), DataConfig())
    assert (fleet.table.rows.num_rows, fleet.unknown_columns) == (0, [])


def test_whoever_wants_the_speech_of_all_reads_the_sealed_too(tmp_path: Path) -> None:
    for name in ("ann", "bob"):
        write(tmp_path, f"audio,transcript\n{name}.wav,one\n", f"{name}.csv")
    uri = write(tmp_path, "user_id,manifest,version,speech_s,num_utterances\nann,ann.csv,v1,1,1\nbob,bob.csv,v1,1,1\n")
    users, problems = read_users(uri, DataConfig())
    assert [[u.utterance_id for u in user.utterances] for user in users] == [["ann"], ["bob"]]
    assert problems == []


def test_all_bad_rows_are_named_at_once_with_their_lines(tmp_path: Path) -> None:
    uri = write(
        tmp_path,
        "user_id,manifest,version,speech_s,num_utterances\n"
        "ann,ann.parquet,v1,60,20\n"
        "bob,bob.parquet,v1,,20\n"
        "cy,cy.parquet,v1,nan,20\n"
        "dee,dee.parquet,v1,60,2.5\n"
        "eve,eve.parquet,v1,60,\n"
        ",x.parquet,v1,60,20\n"
        "fay,,v1,60,20\n"
        "ann,other.parquet,v2,60,20\n",
    )
    with pytest.raises(InputError) as error:
        read_fleet(uri, DataConfig())
    assert [line.strip() for line in str(error.value).splitlines()[1:]] == [
        f"{uri}:3: user=bob speech_s='': not a duration; beside a version, give the seconds of speech",
        f"{uri}:4: user=cy speech_s='nan': not a duration; beside a version, give the seconds of speech",
        f"{uri}:5: user=dee num_utterances='2.5': not a count; beside a version, give the number of utterances",
        f"{uri}:6: user=eve num_utterances='': not a count; beside a version, give the number of utterances",
        f"{uri}:7: user_id='': no text is given; give the user's id and the URI of a manifest",
        f"{uri}:8: user=fay manifest='': no text is given; give the user's id and the URI of a manifest",
        f"{uri}:9: user=ann user_id='ann': the user is already in line 2; give every user one row and one manifest",
    ]
    fleet = read_fleet(uri, DROP)
    assert fleet.table.rows["user_id"].to_pylist() == ["ann"]
    assert [problem.line for problem in fleet.problems] == [3, 4, 5, 6, 7, 8, 9]


def test_versions_need_the_amount_of_speech_beside_them(tmp_path: Path) -> None:
    uri = write(tmp_path, "user_id,manifest,version,speech\nann,ann.parquet,v1,60\n")
    with pytest.raises(InputError, match="no column speech_s or num_utterances") as error:
        read_fleet(uri, DataConfig())
    assert "rename 'speech' to 'speech_s'?" in str(error.value)


CELLS = st.one_of(st.none(), st.text("ab ", max_size=3))
ANY_ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS, st.one_of(st.none(), st.floats(-1, 90)), st.integers(-1, 9)))
NAMES = st.text("abc", min_size=1, max_size=3)
GOOD_ROWS = st.lists(
    st.tuples(NAMES, NAMES, st.one_of(st.none(), NAMES), st.floats(0, 90), st.integers(0, 9)),
    unique_by=lambda row: row[0],
)


@given(ANY_ROWS | GOOD_ROWS)
def test_parquet_and_json_lines_say_the_same(rows: list[tuple[Any, ...]]) -> None:
    cells = [dict(zip(USER_COLUMNS, row, strict=True)) for row in rows]
    types = {"speech_s": pa.float64(), "num_utterances": pa.int32()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in USER_COLUMNS])
    parquet, lines = "memory://user-table/users.parquet", "memory://user-table/users.jsonl"
    storage.write_table(parquet, pa.Table.from_pylist(cells, schema))
    storage.write_bytes(lines, "".join(json.dumps(row) + "\n" for row in cells).encode())
    first, second = read_table(parquet), read_table(lines)
    assert first.rows.equals(second.rows)
    assert [(p.line, p.column, p.reason) for p in first.problems] == [
        (p.line, p.column, p.reason) for p in second.problems
    ]
    # every row is good or bad, once
    lines_of = [*first.rows["line"].to_pylist(), *(problem.line for problem in first.problems)]
    assert sorted(lines_of) == list(range(1, len(rows) + 1))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0, 2.0**31])
def test_numbers_that_are_none_are_found_among_good_ones(tmp_path: Path, bad: float) -> None:
    uri = str(tmp_path / "users.parquet")
    columns = {"user_id": ["a", "b"], "manifest": ["m", "m"], "version": ["1", "1"], "num_utterances": [1, 1]}
    storage.write_table(uri, pa.table({**columns, "speech_s": [1.0, bad]}))
    table = read_table(uri)
    assert rows_of(table) == [("a", "m", "1", 1.0, 1, 1)]
    assert [str(problem) for problem in table.problems] == [
        f"{uri} row 2: user=b speech_s={bad!r}: not a duration; beside a version, give the seconds of speech"
    ]


def test_numbers_serve_as_ids_and_versions(tmp_path: Path) -> None:
    uri = str(tmp_path / "users.parquet")
    columns = {"user_id": [12], "manifest": ["m"], "version": [3], "speech_s": [60], "num_utterances": [20]}
    storage.write_table(uri, pa.table(columns))
    assert rows_of(read_table(uri)) == [("12", "m", "3", 60.0, 20, 1)]


def test_audio_is_looked_for_once_wherever_it_lies(tmp_path: Path) -> None:
    for name in ("a/1.wav", "a/2.wav", "b/1.wav"):
        storage.write_bytes(str(tmp_path / name), b"RIFF")
    uris = [str(tmp_path / name) for name in ("a/1.wav", "b/1.wav", "a/2.wav", "a/1.wav", "c/lost.wav")]
    rows = [Utterance(str(n), "ann", uri, 1.0, "one", n) for n, uri in enumerate(uris)]
    users = [Manifest("", rows[:3]), Manifest("", [*rows[3:], Utterance("x", "bob", b"RIFF", 1.0, "one", 9)])]
    assert stat_audio(users) == storage.stat_many(uris)


def test_progress_is_told_in_time_and_not_more_often() -> None:
    told: list[str] = []
    at_once, later = paced(told.append, interval_s=0.0), paced(told.append, interval_s=3600.0)
    for number in range(3):
        at_once(f"now {number}")
        later(f"later {number}")
    assert told == ["now 0", "now 1", "now 2"]


def test_reading_manifests_says_how_far_it_is(tmp_path: Path) -> None:
    for name in ("ann", "bob"):
        write(tmp_path, "audio,transcript\na.wav,one\n", f"{name}.csv")
    told: list[str] = []
    read_fleet(write(tmp_path, "user_id,manifest\nann,ann.csv\nbob,bob.csv\n"), DataConfig(), told.append)
    assert told == ["1 of 2 manifests read", "2 of 2 manifests read"]
