from pathlib import Path

import pytest

from ds2ray.commands.submitting.command import Command, exit_code_of_stopped
from ds2ray.store import Store
from ds2ray.store.layout import summary_uri
from ds2ray.store.records import SUMMARY, write_record


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("python jobs/adapt_users.py users.csv", "adapt-users"),
        ("python -u /opt/ds2ray/jobs/train.py train.manifest=m.csv", "train"),
        ("ds2ray adapt-users users.csv", "adapt-users"),
        ("/opt/bin/ds2ray sweep_adapters users.csv", "sweep-adapters"),
        ("sleep 5", "sleep"),
        ("", ""),
        ("an unclosed ' quote", ""),
    ],
)
def test_the_name_is_that_of_the_job(text: str, name: str) -> None:
    assert Command.of(text).name == name


def test_a_shell_reads_the_same_words() -> None:
    command = Command(("python", "jobs/adapt_users.py", "users of today.csv", "adapter.hidden_dims=[64]", "a'b", "$x"))
    assert Command.of(command.text) == command


def test_only_a_fleet_run_without_a_name_gets_one() -> None:
    fleet = Command.of("python jobs/adapt_users.py users.csv")
    assert fleet.with_run_id("night").setting("run_id") == "night"
    named = Command.of("ds2ray adapt-users users.csv run_id=mine")
    assert named.with_run_id("night") == named
    training = Command.of("python jobs/train.py")
    assert training.with_run_id("night") == training


def test_the_exit_code_of_a_stopped_job_is_in_its_runs_summary(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    command = Command.of(f"python jobs/adapt_users.py users.csv storage.root={root} run_id=night")
    assert exit_code_of_stopped(command) == (None, "no run of it has left a summary")
    store = Store(root)
    write_record(store, summary_uri(store, "night"), SUMMARY, {"run_id": "night", "exit_code": 3})
    assert exit_code_of_stopped(command) == (3, "")
    assert exit_code_of_stopped(Command.of("sleep 5"))[0] is None


def test_a_store_that_cannot_be_read_from_here_is_told(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    write_record(store, summary_uri(store, "other"), SUMMARY, {"run_id": "night", "exit_code": 3})
    code, why = exit_code_of_stopped(Command.of(f"ds2ray adapt-users storage.root={tmp_path} run_id=other"))
    assert code is None
    assert "cannot be read from here" in why
