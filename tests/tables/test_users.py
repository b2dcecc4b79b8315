import csv
import io
import json
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from ds2ray import storage
from ds2ray.config import AudioConfig, BadRows, DataConfig, ModelConfig, TextConfig
from ds2ray.errors import InputError
from ds2ray.shapes.architectures import shape_of
from ds2ray.tables.manifest import Manifest
from ds2ray.tables.problems import ProblemKind
from ds2ray.tables.users import read_fleet, read_users, usable_users
from ds2ray.text import Vocabulary

DROP = DataConfig(bad_rows=BadRows.drop)


def write(folder: Path, tables: dict[str, str]) -> str:
    """Write tables; returns the path of the first."""
    for name, content in tables.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return str(folder / next(iter(tables)))


def ids(users: list[Manifest]) -> dict[str, list[str]]:
    return {user.user_id: [u.utterance_id for u in user.utterances] for user in users}


def test_a_users_table_names_manifests(tmp_path: Path) -> None:
    tables = {
        "users.csv": "user_id,manifest,team\nbob,m/bob.csv,x\nann,m/ann.jsonl,y\n7,m/empty.csv,z\n",
        "m/bob.csv": "audio,transcript\nb1.wav,one\nb2.wav,two\n",
        "m/ann.jsonl": '{"audio": "../a1.wav", "transcript": "one", "user_id": "ann"}\n',
        "m/empty.csv": "audio,transcript\n",
    }
    users, problems = read_users(write(tmp_path, tables), DataConfig())
    assert ids(users) == {"bob": ["b1", "b2"], "ann": ["a1"], "7": []}
    assert list(ids(users)) == ["bob", "ann", "7"]
    assert {u.user_id for user in users for u in user.utterances} == {"ann", "bob"}
    assert users[1].utterances[0].audio == str(tmp_path / "a1.wav")
    assert [user.uri for user in users[:2]] == [str(tmp_path / "m/bob.csv"), str(tmp_path / "m/ann.jsonl")]
    assert (problems, [user.problems for user in users]) == ([], [[], [], []])


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_the_table_can_have_any_format_and_lie_anywhere(suffix: str) -> None:
    import pyarrow as pa

    root = f"memory://users-{suffix}"
    storage.write_bytes(storage.join(root, "ann.csv"), b"audio,transcript\na.wav,one\n")
    uri = storage.join(root, f"users.{suffix}")
    if suffix == "jsonl":
        storage.write_bytes(uri, b'{"user_id": 12, "manifest": "ann.csv"}\n')
    else:
        storage.write_table(uri, pa.table({"user_id": [12], "manifest": ["ann.csv"]}))
    users, _ = read_users(uri, DataConfig())
    assert ids(users) == {"12": ["a"]}
    assert users[0].utterances[0].audio == f"{root}/a.wav"


def test_one_manifest_can_hold_all_users(tmp_path: Path) -> None:
    rows = ["user_id,audio,transcript", "bob,b1.wav,one", "ann,a1.wav,two", "bob,b2.wav,three"]
    users, problems = read_users(write(tmp_path, {"all.csv": "\n".join(rows)}), DataConfig())
    assert ids(users) == {"bob": ["b1", "b2"], "ann": ["a1"]}
    assert {user.uri for user in users} == {str(tmp_path / "all.csv")}
    assert problems == []


def test_a_bad_manifest_is_a_problem_of_its_user_alone(tmp_path: Path) -> None:
    tables = {
        "users.csv": "user_id,manifest\nann,ann.csv\nbob,missing.csv\ncy,cy.csv\ndee,dee.csv\neve,eve.csv\n",
        "ann.csv": "audio,transcript\na.wav,one\n",
        "cy.csv": "place,said\na.wav,one\n",
        "dee.csv": "audio,transcript\nd.wav,one\n,two\n",
        "eve.csv": "audio,transcript,user_id\ne.wav,one,eve\na.wav,two,ann\n",
    }
    users, problems = read_users(write(tmp_path, tables), DataConfig())
    assert problems == []
    assert ids(users) == {"ann": ["a"], "bob": [], "cy": [], "dee": ["d"], "eve": ["e"]}
    texts = {user.user_id: [str(problem) for problem in user.problems] for user in users}
    table = tmp_path / "users.csv"
    assert texts["ann"] == []
    assert texts["bob"] == [
        f"{table}:3: user=bob manifest={tmp_path}/missing.csv: there is no such file; correct the path or the file"
    ]
    assert texts["cy"][0].startswith(f"{table}:4: user=cy manifest={tmp_path}/cy.csv: the table has no column audio")
    assert texts["dee"][0].startswith(f"{tmp_path}/dee.csv:3: user=dee audio=''")
    assert texts["eve"][0].startswith(f"{tmp_path}/eve.csv:3: id=a user=eve user_id='ann': the utterance is another")
    assert {problem.kind for user in users for problem in user.problems} == {ProblemKind.row}


def test_bad_rows_of_the_users_table_are_refused_together_or_left_out(tmp_path: Path) -> None:
    rows = ["user_id,manifest", "ann,ann.csv", ",bob.csv", "cy,", "ann,other.csv", "dee", "eve,eve.csv"]
    manifest = "audio,transcript\na.wav,one\n"
    uri = write(tmp_path, {"users.csv": "\n".join(rows), "ann.csv": manifest, "eve.csv": manifest})
    with pytest.raises(InputError) as error:
        read_users(uri, DataConfig())
    lines = str(error.value).splitlines()
    assert lines[0] == f"{uri}: 4 rows cannot be used (data.bad_rows=drop would leave them out):"
    assert [line.split()[0] for line in lines[1:]] == [f"{uri}:{line}:" for line in (3, 4, 5, 6)]
    assert "the user is already in line 2" in lines[3]
    users, problems = read_users(uri, DROP)
    assert ids(users) == {"ann": ["a"], "eve": ["a"]}
    assert [problem.line for problem in problems] == [3, 4, 5, 6]


def test_bad_rows_of_a_common_manifest_are_refused_together_or_left_out(tmp_path: Path) -> None:
    rows = ["user_id,audio,transcript", "ann,a.wav,one", ",b.wav,two", "cy,,three", ",,four"]
    uri = write(tmp_path, {"all.csv": "\n".join(rows)})
    with pytest.raises(InputError, match="3 rows cannot be used"):
        read_users(uri, DataConfig())
    users, problems = read_users(uri, DROP)
    assert ids(users) == {"ann": ["a"], "cy": []}
    assert [problem.line for problem in users[1].problems] == [4]
    assert [(problem.line, problem.column) for problem in problems] == [(3, "user_id"), (5, "audio")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file"),
        ("audio,transcript\na.wav,one\n", "no column user_id"),
        ("users,manifests\nann,ann.csv\n", "no column user_id or manifest; it has users, manifests"),
        ("", "the table is empty"),
    ],
)
def test_refuses_tables_that_name_no_users(tmp_path: Path, content: str | None, message: str) -> None:
    uri = str(tmp_path / "users.csv") if content is None else write(tmp_path, {"users.csv": content})
    with pytest.raises(InputError, match=message):
        read_users(uri, DataConfig())


def test_usable_users_hold_usable_utterances_and_say_what_was_left_out(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros((8000, 2)), 16000, format="WAV")
    (tmp_path / "a.wav").write_bytes(buffer.getvalue())
    tables = {
        "users.csv": "user_id,manifest\nann,ann.csv\nbob,bob.csv\n",
        "ann.csv": "audio,transcript\na.wav,one\nmissing.wav,one\na.wav,öne\n",
        "bob.csv": "audio,transcript\n,one\n",
    }
    users, _ = read_users(write(tmp_path, tables), DataConfig())
    vocabulary = Vocabulary.from_transcripts(["one"], TextConfig())
    ann, bob = usable_users(
        users, data=DataConfig(), shape=shape_of(ModelConfig(), AudioConfig()), vocabulary=vocabulary
    )
    assert [(u.line, u.duration_s, u.user_id) for u in ann.utterances] == [(2, 0.5, "ann")]
    assert [(p.line, p.kind, p.user_id) for p in ann.problems] == [
        (3, ProblemKind.audio, "ann"),
        (4, ProblemKind.transcript, "ann"),
    ]
    assert ann.conversions == {"mixed_to_mono": 1}
    assert (bob.utterances, [problem.kind for problem in bob.problems]) == ([], [ProblemKind.row])


TOO_LONG = "홍" * 23  # 207 bytes, percent-encoded
IMPOSSIBLE = [TOO_LONG, "x" * 201, "tab\there", "bell\a", "a\x85b"]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("table", ["of users", "of utterances"])
def test_a_user_id_that_cannot_be_is_that_user_s_problem(tmp_path: Path, table: str, suffix: str) -> None:
    users = ["ann", *IMPOSSIBLE, "홍" * 22]
    other = "manifest" if table == "of users" else "audio"
    rows = [{"user_id": user, other: "m.csv" if other == "manifest" else "a.wav", "transcript": "x"} for user in users]
    write(tmp_path, {"m.csv": "audio,transcript\na.wav,one\n"})
    uri = str(tmp_path / f"all{suffix}")
    if suffix == ".parquet":
        storage.write_table(uri, pa.Table.from_pylist(rows))
    elif suffix == ".jsonl":
        storage.write_bytes(uri, "".join(json.dumps(row) + "\n" for row in rows).encode())
    else:
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0])
        writer.writeheader()
        writer.writerows(rows)
        storage.write_bytes(uri, text.getvalue().encode())
    found, problems = read_users(uri, DROP)
    assert [user.user_id for user in found] == ["ann", "홍" * 22]
    assert [problem.column for problem in problems] == ["user_id"] * len(IMPOSSIBLE)
    assert "takes 207 bytes" in problems[0].reason
    assert "holds control characters" in problems[2].reason
    assert not any(character in str(problem) for problem in problems for character in "\t\a\x85")
    with pytest.raises(InputError, match=f"{len(IMPOSSIBLE)} rows cannot be used"):
        read_users(uri, DataConfig())


def test_with_a_salt_an_id_may_have_any_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS2RAY_USER_KEY_SALT", "pepper")
    uri = write(tmp_path, {"all.csv": f"user_id,audio,transcript\n{TOO_LONG},a.wav,x\n"})
    users, problems = read_users(uri, DataConfig())
    assert ([user.user_id for user in users], problems) == ([TOO_LONG], [])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_one_user_in_two_forms_of_unicode_is_one_user(tmp_path: Path, suffix: str) -> None:
    forms = [unicodedata.normalize(form, "홍길동é") for form in ("NFC", "NFD")]
    table = pa.table({"user_id": forms, "manifest": ["m.csv", "m.csv"]})
    write(tmp_path, {"m.csv": f"audio,transcript,user_id\na.wav,one,{forms[1]}\n"})
    uri = str(tmp_path / f"users{suffix}")
    if suffix == ".csv":
        write(tmp_path, {"users.csv": "user_id,manifest\n" + "".join(f"{form},m.csv\n" for form in forms)})
    else:
        storage.write_table(uri, table)
    write(tmp_path, {"all.csv": f"user_id,audio,transcript\n{forms[1]},a.wav,x\n{forms[0]},,y\n"})
    (together,), _ = read_users(str(tmp_path / "all.csv"), DROP)
    assert (together.user_id, len(together.utterances), len(together.problems)) == (forms[0], 1, 1)
    users, problems = read_users(uri, DROP)
    assert ids(users) == {forms[0]: ["a"]}
    assert [problem.reason for problem in problems] == [
        "the user is already in line " + ("2" if suffix == ".csv" else "1")
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("u.csv", "user_id,manifest\n"),
        ("u.csv", "user_id,audio,transcript\n\n ,,\n"),
        ("u.jsonl", ""),
        ("u.json", "[]"),
        ("u.parquet", None),
    ],
)
def test_a_table_without_rows_is_refused_unless_it_may_be_empty(tmp_path: Path, name: str, content: str | None) -> None:
    uri = str(tmp_path / name)
    if content is None:
        storage.write_table(
            uri, pa.table({"user_id": pa.array([], pa.string()), "manifest": pa.array([], pa.string())})
        )
    else:
        write(tmp_path, {name: content})
    with pytest.raises(InputError, match=r"u\.\w+: the table has no rows; .*data.allow_empty=true"):
        read_fleet(uri, DROP)
    fleet = read_fleet(uri, DataConfig(allow_empty=True))
    assert (fleet.users, fleet.table.rows.num_rows, fleet.problems) == ([], 0, [])


def test_a_table_of_which_no_row_is_usable_is_not_empty(tmp_path: Path) -> None:
    uri = write(tmp_path, {"users.csv": "user_id,manifest\n,a.csv\nbob,\n"})
    with pytest.raises(InputError, match="none of its 2 rows can be used, as in .*users.csv:2"):
        read_fleet(uri, DataConfig(bad_rows=BadRows.drop, allow_empty=True))
