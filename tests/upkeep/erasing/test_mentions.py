"""What names a user, and what only looks like it."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ds2ray.upkeep import keys_of
from ds2ray.upkeep.erasing.mentions import ERASED, Mentions, names_in


def mentions(*users: str) -> Mentions:
    return Mentions(keys_of(users))


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ("john", "john"),
        ("john", "s3://speech/john.csv: not found"),
        ("john", "user john has no adapter"),
        ("john", "(john)"),
        ("7", "s3://speech/7.csv"),
        ("7", "user_id='7'"),
        ("1234567", "/users/1234567/a.wav"),
        ("al", "/al/"),
        ("anna maria", "users anna maria, kim"),
        ("ü@x.de", "mailto:ü@x.de"),
        ("a.b", "/audio/a.b/1.wav"),
        ("a.b", "/audio/a%2Eb/1.wav"),
    ],
)
def test_a_name_that_stands_by_itself_is_found_and_taken_out(user: str, text: str) -> None:
    found = mentions(user)
    assert found.in_text(text)
    assert found.in_json({"a": [{"b": text}]})
    assert found.in_bytes(text.encode())
    assert ERASED in found.without(text)
    assert not found.in_text(found.without(text))


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ("john", "johnny and john2 and john-2 and x_john"),
        ("7", "7 usable utterances, at least 4 are needed"),
        ("1234567", "after 1234567 steps"),
        ("al", "et al were heard"),
        ("failed", "the cohort failed"),
        ("anna maria", "anna mariana"),
        ("ü", "für"),
    ],
)
def test_a_part_of_a_longer_name_and_ordinary_words_are_not(user: str, text: str) -> None:
    found = mentions(user)
    assert not found.in_text(text)
    assert found.without(text) == text


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("users/john/current.json", True),
        ("packs/john.0123.parquet", True),
        ("john_adapter.pt", True),
        (".john.1234.tmp", True),
        ("users/johnny/current.json", False),
        ("outputs/big_john.wav", False),
    ],
)
def test_names_of_files(path: str, named: bool) -> None:
    assert mentions("john").in_name(path) is named


def test_users_who_are_called_like_parts_of_a_store() -> None:
    found = mentions("users", "adapted", "user_key")
    assert not found.in_name("users/kim/current.json")
    assert found.in_name("users/users/current.json")
    assert not found.in_json({"user_key": "kim", "users": 3, "status": "adapted"})
    assert found.in_json({"user_key": "adapted"})
    table = pa.table({"user_key": ["kim", "users"], "status": ["adapted", "failed"]})
    kept, num_gone = found.table_without(table)
    assert (num_gone, kept.to_pylist()) == (1, [{"user_key": "kim", "status": "adapted"}])


def test_keys_that_become_the_same_are_added() -> None:
    document = {"john.csv": 1, "mary.csv": 2, "other": 3}
    assert mentions("john", "mary").json_without(document) == {f"{ERASED}.csv": 3, "other": 3}


def test_contents_are_read_as_what_they_are() -> None:
    sink = pa.BufferOutputStream()
    nested = pa.table({"who": [["john"], []], "code": pa.array(["a", "b"]).dictionary_encode()})
    pq.write_table(nested, sink)
    data = sink.getvalue().to_pybytes()
    assert names_in(data, "x.parquet", mentions("john"))
    assert not names_in(data, "x.parquet", mentions("mary"))
    assert names_in(b"PAR1 john", "x.parquet", mentions("john"))
    assert names_in(b'{"a": "\\u006aohn"}', "x.json", mentions("john"))
    assert names_in(b'{"a": 1}\n{"a": "john"}\n', "x.jsonl", mentions("john"))
    assert names_in(b"{ john", "x.json", mentions("john"))
    header = b'{"john":{}}'
    weights = len(header).to_bytes(8, "little") + header
    assert names_in(weights, "x.safetensors", mentions("john"))
    assert not names_in(b"\0" * 8 + b" john ", "x.safetensors", mentions("john"))
