"""`store erase` as it is typed, and what later runs make of it."""

import json
from pathlib import Path

import pytest
from fleet_runs import run_job_here
from kept_store import content, two_nights

from ds2ray.commands.words import publish_table_words
from ds2ray.config import DataConfig
from ds2ray.store import Store, read_base_record, read_words_record, require_salt
from ds2ray.store.keys import SALT_VARIABLE
from ds2ray.tables.users import read_fleet
from ds2ray.upkeep.erasing import read_tombstones
from ds2ray.upkeep.erasing.fleets import erased_note, without_erased


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("DS2RAY_STORAGE_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    return two_nights(str(tmp_path / "store"))


def test_a_user_is_erased_with_a_receipt(place: Store, tmp_path: Path) -> None:
    before = content(place.root_uri)
    dry = run_job_here("store", "erase", "alice", "--dry-run", "receipt=receipt.json")
    assert (dry.code, content(place.root_uri), (tmp_path / "receipt.json").exists()) == (0, before, False)
    assert "user alice would be erased (dry run, nothing is written)" in dry.out
    done = run_job_here("store", "erase", "alice", "receipt=receipt.json")
    assert done.code == 0
    assert "user alice erased from" in done.out
    assert "nothing is left that names them" in done.out
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    assert receipt["removed"]["objects"] == 6
    assert receipt["users"] == 1
    assert run_job_here("store", "erase", "alice").code == 0
    lifted = run_job_here("store", "erase", "alice", "lift=true")
    assert (lifted.code, "1 of 1 users had been erased" in lifted.out) == (0, True)
    assert run_job_here("store", "erase", "alice", "lift=true").code == 3


def test_what_is_left_and_who_is_unknown_have_exit_codes(place: Store) -> None:
    done = run_job_here("store", "erase", "alcie")
    assert done.code == 3
    assert "of user alcie there was nothing: is the id spelt as in the users table" in done.out
    place.write_bytes(f"{place.root_uri}/notes/alice.txt", b"hers")
    done = run_job_here("store", "erase", "alice")
    assert done.code == 4
    assert "notes/alice.txt (its name)" in done.out
    assert "receipt='x.txt': the name of a .json file is wanted" in run_job_here(
        "store", "erase", "alice", "receipt=x.txt"
    ).err  # fmt: skip


@pytest.mark.parametrize("version", ["", "v1"])
def test_a_fleet_is_planned_without_erased_users(place: Store, tmp_path: Path, version: str) -> None:
    run_job_here("store", "erase", "alice")
    rows = "".join(f"{user},{user}.csv,{version},{'9.0,3' if version else ','}\n" for user in ("alice", "bob"))
    (tmp_path / "users.csv").write_text(f"user_id,manifest,version,speech_s,num_utterances\n{rows}")
    fleet, num_erased = without_erased(read_fleet(str(tmp_path / "users.csv"), DataConfig()), read_tombstones(place))
    assert num_erased == 1
    assert [*(user.user_id for user in fleet.users), *fleet.table.rows["user_id"].to_pylist()] == ["bob"]
    assert erased_note(1).startswith("1 user of the table was erased from this store, and refused")


def test_own_words_of_an_erased_user_are_refused(place: Store, tmp_path: Path) -> None:
    run_job_here("store", "erase", "alice")
    done = run_job_here("words", "user=alice", "words=[anna]")
    assert done.code == 2
    assert "user alice was erased from" in done.err
    (tmp_path / "users.csv").write_text("user_id,manifest,words\nalice,a.csv,anna\n")
    publish_table_words(str(tmp_path / "users.csv"), DataConfig(), place, read_base_record(place), dry_run=True)
    assert read_words_record(place, "alice") is None


@pytest.mark.parametrize("verb", ["history", "rollback", "erase", "export-user"])
def test_who_has_not_the_salt_of_a_store_finds_no_user_under_another_name(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(tmp_path / "salted")
    monkeypatch.setenv(SALT_VARIABLE, "pepper")
    require_salt(Store(root), writing=True)
    monkeypatch.delenv(SALT_VARIABLE)
    before = content(root)
    done = run_job_here("store", verb, "alice", f"storage.root={root}")
    assert (done.code, content(root)) == (2, before)
    assert f"its user keys are made with a salt, and there is none in {SALT_VARIABLE}" in done.err
