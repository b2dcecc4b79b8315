"""The export of a user: everything of the user, and nothing of anybody else."""

import io
import json
import zipfile
from functools import partial
from pathlib import Path

import pytest
from kept_store import content, packed, two_nights
from killed import dies_at

from ds2ray import store
from ds2ray.config import PackBy
from ds2ray.errors import ConfigError, InputError
from ds2ray.store import Store
from ds2ray.store.layout import summary_uri
from ds2ray.upkeep.erasing import erase
from ds2ray.upkeep.exporting import CONTENTS, export_user


@pytest.fixture
def place(tmp_path: Path) -> Store:
    found = two_nights(str(tmp_path / "store"))
    for by in PackBy:
        packed(str(tmp_path / "packs"), by)
    failures = {"alice.csv cannot be read": 1, "bob.csv cannot be read": 1}
    found.write_json(summary_uri(found, "first"), {"run_id": "first", "failures": failures})
    return found


def test_a_folder_holds_all_of_the_user_and_nobody_else(place: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = export_user(place, "alice", "alice", str(out), folders=[str(tmp_path / "packs")])
    files = content(out)
    assert {name: len(data) for name, data in files.items()} == done.files
    assert not [name for name, data in files.items() if b"bob" in data or b"carol" in data]
    of_user = {name.removeprefix("user/"): data for name, data in files.items() if name.startswith("user/")}
    assert of_user == content(f"{place.root_uri}/users/alice")
    assert done.rows == {
        "index/users.parquet": 1,
        "runs/first/plan.parquet": 1,
        "runs/first/outcomes/000000-0000.parquet": 1,
        "runs/first/outcomes/settled.parquet": 1,
        "runs/first/summary.json": 1,
        "runs/second/plan.parquet": 1,
        "runs/second/outcomes/000000-0000.parquet": 1,
        "runs/second/outcomes/settled.parquet": 1,
    }
    sound = [data for name, data in files.items() if name.endswith(".audio")]
    assert sound == [b"audio of alice"] * 2
    told = json.loads(files[CONTENTS])
    assert told["files"]["packs/0/shard-00000-000000.audio"]["sha256"] == store.sha256(b"audio of alice")
    assert set(told["files"]) == set(files) - {CONTENTS}


def test_nothing_of_an_earlier_export_stays(place: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_user(place, "bob", "bob", str(out), folders=[str(tmp_path / "packs")])
    assert [name for name, data in content(out).items() if b"bob" in data]
    done = export_user(place, "alice", "alice", str(out))
    files = content(out)
    assert set(files) == set(done.files)
    assert not [name for name, data in files.items() if b"bob" in data]
    assert not (out / "packs").exists()


def test_a_folder_with_files_of_something_else_is_refused(place: Store, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("mine")
    for dry_run in (True, False):
        with pytest.raises(ConfigError, match="letters has files that are of no export, as a.txt: name another place"):
            export_user(place, "alice", "alice", str(tmp_path / "letters"), dry_run=dry_run)
    assert content(tmp_path / "letters") == {"a.txt": b"mine"}


def test_a_zip_is_the_same_every_time(place: Store, tmp_path: Path) -> None:
    uri = str(tmp_path / "alice.zip")
    done = export_user(place, "alice", "alice", uri)
    first = Path(uri).read_bytes()
    assert sorted(zipfile.ZipFile(io.BytesIO(first)).namelist()) == sorted(done.files)
    export_user(place, "alice", "alice", uri)
    assert Path(uri).read_bytes() == first


def test_a_dry_run_writes_nothing(place: Store, tmp_path: Path) -> None:
    before = content(tmp_path)
    assert len(export_user(place, "alice", "alice", str(tmp_path / "out"), dry_run=True).files) > 10
    assert content(tmp_path) == before


def test_an_erased_user_has_a_day_and_an_unknown_one_nothing(place: Store, tmp_path: Path) -> None:
    erase(place, {"alice": "alice"})
    done = export_user(place, "alice", "alice", str(tmp_path / "out"))
    assert (list(done.files), len(done.erased_on)) == ([CONTENTS], 10)
    with pytest.raises(InputError, match="holds nothing; is the id spelt"):
        export_user(place, "alcie", "alcie", str(tmp_path / "out"))


def test_an_export_into_the_store_is_refused(place: Store) -> None:
    with pytest.raises(ConfigError, match="lies in the store"):
        export_user(place, "alice", "alice", f"{place.root_uri}/alice.zip")


@pytest.mark.process
@pytest.mark.usefixtures("no_power_fails")
def test_killed_at_every_change_and_run_again_it_ends_the_same(place: Store, tmp_path: Path) -> None:
    def export(name: str) -> dict[str, bytes]:
        export_user(place, "alice", "alice", str(tmp_path / name))
        return {path: data for path, data in content(tmp_path / name).items() if not path.endswith(".tmp")}

    before, expected, kills = content(place.root_uri), export("undisturbed"), 0
    while dies_at(kills + 1, partial(export, f"killed {kills}")):
        assert export(f"killed {kills}") == expected, kills
        kills += 1
    assert kills >= len(expected)
    assert content(place.root_uri) == before
