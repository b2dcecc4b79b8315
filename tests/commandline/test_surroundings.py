"""Jobs that are started in odd places."""

import errno
import getpass
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ds2ray.commandline import surroundings
from ds2ray.commandline.start import run_job
from ds2ray.commandline.surroundings import NO_HOME, exhausted, look_around
from ds2ray.config import TranscribeJob
from ds2ray.errors import StorageError

JOB = Path(__file__).parents[2] / "jobs" / "transcribe.py"


@pytest.mark.process
def test_a_working_directory_that_has_been_deleted(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = ["sh", "-c", 'cd "$1" && rmdir "$1" && exec "$2" "$3"', "sh", str(gone), sys.executable, str(JOB)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done
    assert done.stderr.splitlines()[-1] == (
        "jobs/transcribe.py: the working directory has been deleted: cd to one that is there"
    )
    assert "Traceback" not in done.stderr


def test_a_user_whom_the_system_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    look_around()
    assert os.environ["HOME"] != NO_HOME

    def unknown() -> None:
        raise RuntimeError("Could not determine home directory.")

    def nobody(number: int) -> None:
        raise KeyError("getpwuid(): uid not found: 12345")

    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(surroundings.Path, "home", unknown)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    look_around()
    assert os.environ["HOME"] == NO_HOME
    assert getpass.getuser() == os.environ["USER"] == str(os.getuid())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE])
def test_a_machine_that_has_run_out_of_something(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    def main(job: TranscribeJob) -> int:
        raise OSError(number, os.strerror(number), "/tmp/tune-state")

    with pytest.raises(SystemExit) as stop:
        run_job("transcribe", [], command="jobs/transcribe.py", work=main)
    assert stop.value.code == StorageError.exit_code
    message = capsys.readouterr().err
    assert message.startswith(f"jobs/transcribe.py: /tmp/tune-state: {os.strerror(number)}; ")
    assert message.endswith(", and run it again: nothing that is finished is lost\n")


def test_other_errors_keep_their_traceback() -> None:
    assert exhausted(OSError(errno.ENOENT, "No such file or directory", "x")) is None
    assert exhausted(BrokenPipeError(errno.EPIPE, "Broken pipe")) is None
