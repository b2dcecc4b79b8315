"""`store history` and `store rollback` as they are typed."""

import json
from pathlib import Path

import pytest
from fleet_runs import run_job_here
from kept_store import content, two_nights

from ds2ray import store
from ds2ray.store import Store


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("DS2RAY_STORAGE_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    return two_nights(str(tmp_path / "store"))


def test_a_history_names_every_version_and_the_current_one(place: Store) -> None:
    done = run_job_here("store", "history", "alice")
    assert done.code == 0
    rows = [line for line in done.out.splitlines() if "first" in line or "second" in line]
    assert ["current" in row for row in rows[-2:]] == [True, False]
    assert "25.0 %" in rows[-1]
    listed = json.loads(run_job_here("store", "history", "alice", "--json").out)["alice"]
    assert [version["seq"] for version in listed] == [2, 1]


def test_who_never_had_an_adapter_is_told(place: Store) -> None:
    done = run_job_here("store", "history", "nobody", "alice")
    assert done.code == 3
    assert "user nobody: no adapter was ever published here" in done.out


def test_last_night_was_bad(place: Store) -> None:
    before = content(place.root_uri)
    dry = run_job_here("store", "rollback", "run=second", "--dry-run")
    assert (dry.code, content(place.root_uri)) == (0, before)
    assert "would be done; nothing is written" in dry.out
    done = run_job_here("store", "rollback", "run=last")
    assert done.code == 0
    assert "rollback of run second: done" in done.out
    assert "2 users: each gets the version before back" in done.out
    assert "1 users: each goes back to the base" in done.out
    assert store.read_pointer(place, "carol") is None


def test_a_list_is_taken_back(place: Store, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("user_id,why\nalice,odd\nbob,odd\n")
    assert run_job_here("store", "rollback", "users=list.csv").code == 0
    (tmp_path / "list.txt").write_text("alice\n\nbob\n")
    done = run_job_here("store", "rollback", "users=list.txt", "--json")
    assert [move["moved"] for move in json.loads(done.out)] == ["base", "base"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "what is to be done?"),
        (["rolback", "alice"], "unknown verb 'rolback' (did you mean rollback?)"),
        (["history"], "who? `python jobs/store.py history alice`"),
        (["history", "alice", "mend=true"], "history has no use for mend"),
        (["rollback", "alice", "run=second"], "name users"),
        (["rollback"], "name users"),
        (["rollback", "run=nights"], "has no run 'nights'"),
        (["rollback", "run=second", "version=abc"], "version= is for one user"),
        (["rollback", "users=none.txt"], "there is no such file"),
        (["rollback", "users=empty.csv"], "it names no user"),
        (["rollback", "users=nameless.csv"], "nameless.csv:2: no user is named"),
        (["rollback", "a\tb"], "control characters"),
    ],
)
def test_what_is_wrong_is_told(place: Store, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "empty.csv").write_text("user_id\n")
    (tmp_path / "nameless.csv").write_text('user_id,why\n"",odd\nbob,odd\n')
    done = run_job_here("store", *arguments)
    assert done.code == 2
    assert message in done.err
