"""Packing of a corpus with users who were erased from the store: no pack holds them, and nothing written names them."""

from dataclasses import replace
from pathlib import Path

import pytest
from corpora import write_users
from preparing import DROP, packed_users

from ds2ray import storage
from ds2ray.commands.prepare import run
from ds2ray.config import PackBy, PrepareConfig, PrepareJob, StorageConfig
from ds2ray.errors import ConfigError
from ds2ray.store.keys import SALT_VARIABLE, require_salt, user_key
from ds2ray.store.store import Store
from ds2ray.upkeep.erasing import erase, lift


@pytest.fixture
def job(tmp_path: Path) -> PrepareJob:
    """Of a corpus of three users, whose first has a row that cannot be packed."""
    source = Path(write_users(tmp_path / "in", 3))
    source.write_text(source.read_text().replace("audio/u000-1.wav", "audio/u000-gone.wav"))
    config = StorageConfig(root=str(tmp_path / "store"))
    return PrepareJob(source=str(source), output=str(tmp_path / "out"), data=DROP, storage=config)


def erase_user(job: PrepareJob, user: str) -> None:
    erase(Store.of(job.storage), {user_key(user): user})


def names(folder: Path, text: str) -> list[str]:
    """Files below a folder that name this, in their names or contents."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if text in str(path) or text.encode() in path.read_bytes()]


def test_users_who_were_erased_are_in_no_pack_and_in_no_list_of_rows_left_out(
    job: PrepareJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    erase_user(job, "u000")
    assert run(job) == 0
    assert list(packed_users(job.output)) == ["u001", "u002"]
    assert names(tmp_path / "out", "u000") == []
    out = capsys.readouterr().out
    assert "1 user of the table was erased from this store, and refused" in out
    assert "rows: 4 read = 4 packed (0.00 h) + 0 left out" in out
    lift(Store.of(job.storage), {user_key("u000"): "u000"})
    assert run(job) == 0
    assert list(packed_users(job.output)) == ["u000", "u001", "u002"]


def test_shards_do_not_hold_them_either(job: PrepareJob) -> None:
    erase_user(job, "u001")
    assert run(replace(job, prepare=PrepareConfig(by=PackBy.shard))) == 0
    assert set(storage.read_table(f"{job.output}/manifest.parquet")["user_id"].to_pylist()) == {"u000", "u002"}


def test_nobody_is_packed_where_the_salt_of_the_tombstones_is_missing(
    job: PrepareJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SALT_VARIABLE, "salt of the store")
    require_salt(Store.of(job.storage), writing=True)
    erase_user(job, "u000")
    monkeypatch.delenv(SALT_VARIABLE)
    with pytest.raises(ConfigError, match=SALT_VARIABLE):
        run(job)
    assert not storage.exists(job.output)
