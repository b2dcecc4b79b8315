"""Sealed tables: any byte that changes is found, whatever part is read, and what a file claims is bounded."""

import io
import random
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ds2ray import storage
from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.storage.sealed import tables
from ds2ray.storage.sealed.tables import TableFile
from ds2ray.storage.sealed.writing import encode_groups, encode_table
from ds2ray.store import Store

ROWS = 200
TABLE = pa.table(
    {
        "user_key": [f"user{i:04d}" for i in range(ROWS)],
        "status": ["adapted", "failed"] * (ROWS // 2),
        "error": [i / ROWS if i % 7 else None for i in range(ROWS)],
        "words": [[{"text": "a", "start": 0.5}]] * ROWS,
    }
)
GROUPS = [TABLE.slice(0, 120), TABLE.slice(120)]


def file_of(data: bytes) -> TableFile:
    return TableFile(io.BytesIO(data), "s3://b/t.parquet")


@pytest.fixture(scope="module")
def sealed() -> bytes:
    return encode_groups(TABLE.schema, GROUPS, {"made": "here"}, compression="zstd")


def test_whole_or_in_parts(sealed: bytes) -> None:
    file = file_of(sealed)
    assert file.is_sealed
    assert file.described["made"] == "here"
    assert file.read().equals(TABLE)
    assert file.read(["error", "user_key"], [1]).equals(GROUPS[1].select(["error", "user_key"]))
    assert file.read(["words"]).equals(TABLE.select(["words"]))


def test_any_reader_of_parquet_reads_it(sealed: bytes) -> None:
    assert pq.read_table(io.BytesIO(sealed), page_checksum_verification=True).equals(TABLE)
    assert encode_table(TABLE) == encode_table(TABLE)


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(rows: int) -> None:
    table = TABLE.slice(0, rows)
    file = file_of(encode_table(table))
    assert file.is_sealed
    assert file.read().equals(table)
    assert file.read(["status"]).equals(table.select(["status"]))


def test_every_flipped_bit_and_cut_is_found_or_does_nothing(sealed: bytes) -> None:
    draw, harmless = random.Random(3), 0
    for _ in range(1500):
        data = bytearray(sealed)
        place = draw.randrange(len(data))
        if draw.random() < 0.7:
            data[place] ^= 1 << draw.randrange(8)
        else:
            length = draw.randint(1, 300)
            data[place : place + length] = draw.choice([b"", bytes(length), data[place : place + length] * 2])
        with suppress(InputError):
            assert file_of(bytes(data)).read().equals(TABLE)
            harmless += 1
    assert harmless < 100


def test_damage_is_found_where_it_is_read(sealed: bytes) -> None:
    start, _ = tables.chunk_place(file_of(sealed).metadata, 1, 0)
    data = bytearray(sealed)
    data[start + 5] ^= 1
    file = file_of(bytes(data))
    assert file.read(groups=[0]).equals(GROUPS[0])
    assert file.read(["status"]).equals(TABLE.select(["status"]))
    with pytest.raises(InputError, match="column user_key does not match its checksum; restore it or make it anew"):
        file.read(["user_key"])


def test_tables_of_others_and_of_earlier_releases_are_read(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "t.parquet")
    assert storage.read_table(str(tmp_path / "t.parquet")).equals(TABLE)
    assert storage.read_table(str(tmp_path / "t.parquet"), ["error"]).equals(TABLE.select(["error"]))


def test_the_store_calls_damage_corruption(tmp_path: Path) -> None:
    store, uri = Store(str(tmp_path)), f"{tmp_path}/t.parquet"
    store.write_table(uri, TABLE)
    with pytest.raises(ArtifactCorruptError, match=r"t\.parquet: lacks version; restore it"):
        store.read_table(uri, ["version"])
    store.write_bytes(uri, store.read_bytes(uri)[:-1])
    with pytest.raises(ArtifactCorruptError, match=r"t\.parquet: not a readable Parquet table"):
        store.read_table(uri)


class TestClaims:
    def test_millions_of_rows_of_a_small_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tables, "MAX_ROWS", 999_999)
        pq.write_table(pa.table({"audio": pa.repeat(pa.scalar("a"), 1_000_000)}), tmp_path / "t.parquet")
        assert (tmp_path / "t.parquet").stat().st_size < 10_000
        with pytest.raises(InputError, match="claims 1000000 rows, and 999999 rows are allowed"):
            storage.read_table(str(tmp_path / "t.parquet"))

    def test_a_cell(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tables, "MAX_CELL_BYTES", 5000)
        for others, told in ((0, "claims a cell of "), (5, "has 6000 bytes in a cell of audio")):
            cells = [b"a" * 6000] + [b""] * others
            with pytest.raises(InputError, match=f"{told}.* and 5000 bytes"):
                file_of(encode_table(pa.table({"audio": cells}))).read()

    def test_the_data_of_all_rows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tables, "MAX_DECODED_BYTES", 10_000)
        with pytest.raises(InputError, match="claims 1.* bytes of data, and 10000 bytes at once are allowed"):
            file_of(encode_table(pa.table({"audio": [f"{i}" * 100 for i in range(100, 150)]}))).read()

    def test_a_value_that_is_repeated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sink, table = io.BytesIO(), pa.table({"n": range(500), "audio": pa.array(["a" * 900, "b"] * 250)})
        pq.write_table(table, sink)
        monkeypatch.setattr(tables, "MAX_DECODED_BYTES", 300_000)
        assert file_of(sink.getvalue()).read().equals(table)
        monkeypatch.setattr(tables, "MAX_DECODED_BYTES", 100_000)
        with pytest.raises(InputError, match="repeats values to 225250 bytes of data, and 100000 bytes"):
            file_of(sink.getvalue()).read()

    def test_a_footer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tables, "_MAX_FOOTER_BYTES", 100)
        with pytest.raises(InputError, match="claims a footer of"):
            file_of(encode_table(TABLE))
