"""`store gc`, `fsck`, `stats`, `unlock` and `export-user` as they are typed."""

import json
import os
import time
from pathlib import Path

import pytest
from fleet_runs import run_job_here
from kept_store import BASE_ID, content, held_elsewhere, two_nights

from ds2ray.commandline.help import job_page
from ds2ray.config.storage import VERBS
from ds2ray.store import Store
from ds2ray.store.index import read_index
from ds2ray.store.layout import index_uri, lease_uri
from ds2ray.store.lease import read_lease


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("DS2RAY_STORAGE_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    return two_nights(str(tmp_path / "store"))


def test_gc_deletes_only_where_it_is_told_to(place: Store, tmp_path: Path) -> None:
    stray = tmp_path / "store" / "users" / "alice" / "0123456789abcdef.safetensors"
    stray.write_bytes(b"stray")
    for path in (tmp_path / "store" / "users" / "alice").iterdir():
        os.utime(path, (time.time() - 1e6, time.time() - 1e6))
    told = run_job_here("store", "gc")
    assert (told.code, stray.exists()) == (0, True)
    assert "1 objects would be deleted, 5 bytes" in told.out
    assert "nothing is deleted without --yes" in told.out
    assert (run_job_here("store", "gc", "--yes", "--dry-run").code, stray.exists()) == (0, True)
    done = json.loads(run_job_here("store", "gc", "--yes", "--json").out)
    assert (done["objects"], done["size_bytes"], stray.exists()) == ({"versions": 1}, {"versions": 5}, False)


def test_fsck_has_an_exit_code_for_what_is_wrong(place: Store) -> None:
    clean = run_job_here("store", "fsck")
    assert (clean.code, "nothing is wrong" in clean.out) == (0, True)
    place.write_bytes(index_uri(place), b"PAR1")
    before = content(place.root_uri)
    wrong = run_job_here("store", "fsck")
    assert wrong.code == 4
    assert "fsck mend=true` mends what needs no guess" in wrong.out
    assert json.loads(run_job_here("store", "fsck", "--json").out)["wrong"] == 2
    assert run_job_here("store", "fsck", "mend=true", "--dry-run").code == 4
    assert content(place.root_uri) == before
    assert run_job_here("store", "fsck", "mend=true").code == 0
    assert len(read_index(place)) == 3


def test_stats_are_a_table_or_json(place: Store) -> None:
    assert BASE_ID in run_job_here("store", "stats").out
    assert json.loads(run_job_here("store", "stats", "--json", "deep=true").out)["adapters_by_base"] == {BASE_ID: 3}


def test_unlock_asks_for_the_name_of_a_run_that_seems_alive(place: Store) -> None:
    assert "nobody holds the lease" in run_job_here("store", "unlock").out
    held_elsewhere(place, "tonight")
    for arguments in ([], ["run=other"]):
        refused = run_job_here("store", "unlock", *arguments)
        assert refused.code == 75
        assert "store.py unlock run=tonight" in refused.err
    assert read_lease(place) is not None
    done = run_job_here("store", "unlock", "run=tonight")
    assert (done.code, "is taken from run tonight" in done.out, read_lease(place)) == (0, True, None)
    place.write_bytes(lease_uri(place), b"{")
    assert "from a run that cannot be read" in run_job_here("store", "unlock").out


def test_a_user_is_exported(place: Store, tmp_path: Path) -> None:
    done = run_job_here("store", "export-user", "alice", "output=alice.zip")
    assert (done.code, (tmp_path / "alice.zip").exists()) == (0, True)
    assert "index/users.parquet: 1 rows" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gc", "alice"], "gc is about the whole store, and 'alice' is named"),
        (["export-user", "alice", "bob", "output=x"], "one user at a time"),
        (["export-user", "alice"], "where to?"),
        (["export_user", "nobody", "output=x"], "holds nothing"),
        (["stats", "yes=true"], "stats has no use for yes"),
        (["gc", "keep_versions=0"], "keep_versions=0 is not possible"),
    ],
)
def test_what_is_wrong_is_told(place: Store, arguments: list[str], message: str) -> None:
    done = run_job_here("store", *arguments)
    assert done.code == 2
    assert message in done.err


def test_help_has_a_line_for_every_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    page = job_page("store").splitlines()
    assert [verb for verb in VERBS if not any(line.split() == [verb, *VERBS[verb].split()] for line in page)] == []
    assert any(line.split() == ["--yes", "yes=true"] for line in page)
