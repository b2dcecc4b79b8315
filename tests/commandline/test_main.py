"""The command `ds2ray`: the list of jobs, and each of them under its own name."""

from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest

from ds2ray import naming
from ds2ray.commandline.jobs import JOBS
from ds2ray.commandline.main import COMMANDS, main

SCRIPTS = Path(__file__).resolve().parents[2] / "jobs"


@pytest.fixture(autouse=True)
def named_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way in which messages name jobs is reset after each test here."""
    monkeypatch.setattr(naming, "_scripts", naming._scripts)


def answer(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """Exit code, and what was printed on either stream."""
    with pytest.raises(SystemExit) as exited:
        main(list(argv))
    assert isinstance(exited.value.code, int)
    return exited.value.code, *capsys.readouterr()


def test_help_lists_every_command_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = answer(capsys, "--help")
    assert (code, err) == (0, "")
    listed = [line.split(maxsplit=1) for line in out.splitlines() if line.startswith("  ")]
    assert listed == [[typed, JOBS[name].summary] for typed, name in COMMANDS.items()]
    assert "adapt-users" in COMMANDS


def test_every_command_has_a_script_of_the_same_job_in_a_checkout() -> None:
    assert {path.stem for path in SCRIPTS.glob("*.py")} == set(JOBS)
    for name in JOBS:
        assert f'run_job("{name}", command="jobs/{name}.py")' in (SCRIPTS / f"{name}.py").read_text()


@pytest.mark.parametrize("name", JOBS)
def test_every_job_has_a_module_that_does_it(name: str) -> None:
    run = import_module(JOBS[name].module).run
    (settings,) = [kind for argument, kind in get_type_hints(run).items() if argument != "return"]
    assert (settings, get_type_hints(run)["return"]) == (JOBS[name].schema, int)


@pytest.mark.parametrize("typed", ["adapt-users", "adapt_users"])
def test_a_job_s_own_help_shows_what_to_type(capsys: pytest.CaptureFixture[str], typed: str) -> None:
    code, out, err = answer(capsys, typed, "--help")
    assert (code, err) == (0, "")
    assert "usage: ds2ray adapt-users [users.csv] [key=value …]" in out
    assert "  adapt.num_epochs=8 " in out


def test_mistakes_name_the_command_that_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = answer(capsys, "train", "train.batchsize=4")
    assert (code, out) == (2, "")
    assert err == "ds2ray train: unknown setting train.batchsize (did you mean train.batch_size?)\n"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], "ds2ray: no command is given: one of prepare, train, "),
        (["adaptusers"], "ds2ray: unknown command adaptusers (did you mean adapt-users?): one of "),
        (["users.csv"], "ds2ray: unknown command users.csv: one of "),
        (["--cfg"], "ds2ray: unknown command --cfg: one of "),
    ],
)
def test_other_commands_are_refused(capsys: pytest.CaptureFixture[str], argv: list[str], expected: str) -> None:
    code, out, err = answer(capsys, *argv)
    assert (code, out) == (2, "")
    assert err.startswith(expected)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "--version") == (0, "ds2ray 0.1.0\n", "")


def test_advice_names_the_installed_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = answer(capsys, "adapt-users", "users.csv", f"storage.root={tmp_path}")
    assert code == 2
    assert err.startswith(f"ds2ray adapt-users: no base in {tmp_path}: train one with ds2ray train, or correct")
