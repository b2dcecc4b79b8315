"""Planted secrets are found wherever a run may leave them."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.chaos.leaks import leaks

SECRET = "jöhn smith+7f3a9c"


@pytest.mark.parametrize("name", ["plain", "escaped", "packed", "table", "quoted", "named"])
def test_a_planted_secret_is_found(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "other.log").write_text("nothing\n")
    if name == "plain":
        (folder / "a.log").write_bytes(b"\x00\xff" + SECRET.encode() + b"\n")
    elif name == "escaped":
        (folder / "a.json").write_text(r'{"user": "j\u00f6hn smith+7f3a9c"}')
    elif name == "packed":
        (folder / "a.csv.gz").write_bytes(gzip.compress(SECRET.encode()))
    elif name == "table":
        pq.write_table(pa.table({"user": [SECRET]}), folder / "a.parquet", compression="zstd")
    elif name == "quoted":
        (folder / "a.txt").write_text("users/j%C3%B6hn%20smith%2B7f3a9c/current.json")
    else:
        (folder / SECRET).mkdir()
    found = leaks([tmp_path], {"id": SECRET, "key": "not there"})
    assert [line.rpartition(": ")[2] for line in found] == ["id"]


def test_where_nothing_is_planted_nothing_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(b"\x1f\x8bdamaged")
    (tmp_path / "a.parquet").write_bytes(b"PAR1damaged")
    assert leaks([tmp_path, tmp_path / "gone"], {"id": SECRET}) == []
