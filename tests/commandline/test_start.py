"""The start and the end of a job: exit codes, messages, signals, and the scripts as processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ds2ray.commandline.jobs import JOBS
from ds2ray.commandline.presets import groups
from ds2ray.commandline.start import run_job
from ds2ray.config import AdaptJob, Schedule
from ds2ray.errors import InputError, InterruptedRunError, StorageError
from ds2ray.reference import settings

ROOT = Path(__file__).resolve().parents[2]


def script(job_name: str, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "jobs" / f"{job_name}.py"), *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


class TestRunJob:
    def run(self, main: Any, argv: list[str] | None = None) -> int:
        with pytest.raises(SystemExit) as exited:
            run_job("adapt_users", argv or [], command="jobs/adapt_users.py", work=main)
        assert isinstance(exited.value.code, int)
        return exited.value.code

    def test_main_gets_the_settings_and_gives_the_exit_code(self) -> None:
        seen: list[AdaptJob] = []

        def main(job: AdaptJob) -> int:
            seen.append(job)
            return 3

        assert self.run(main, ["users.csv"]) == 3
        assert seen == [AdaptJob(users="users.csv")]

    @pytest.mark.parametrize(
        ("error", "code"), [(InputError("a"), 2), (StorageError("b"), 5), (InterruptedRunError("c"), 75)]
    )
    def test_errors_become_one_message(self, error: Exception, code: int, capsys: pytest.CaptureFixture[str]) -> None:
        def main(job: AdaptJob) -> int:
            raise error

        assert self.run(main) == code
        assert capsys.readouterr().err == f"jobs/adapt_users.py: {error}\n"

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_signals_unwind_and_end_with_75(self, number: int, capsys: pytest.CaptureFixture[str]) -> None:
        unwound = False

        def main(job: AdaptJob) -> int:
            nonlocal unwound
            try:
                os.kill(os.getpid(), number)
                signal.pause()
            finally:
                unwound = True
            return 0

        before = signal.getsignal(signal.SIGTERM)
        assert self.run(main) == 75
        assert unwound
        assert "run it again" in capsys.readouterr().err
        assert signal.getsignal(signal.SIGTERM) is before

    def test_mistakes_start_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run(lambda job: pytest.fail("started"), ["adapt.sed=1"]) == 2
        assert capsys.readouterr().err == "jobs/adapt_users.py: unknown setting adapt.sed (did you mean adapt.seed?)\n"

    def test_a_defect_keeps_its_traceback(self) -> None:
        def main(job: AdaptJob) -> int:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run_job("adapt_users", [], command="jobs/adapt_users.py", work=main)


@pytest.mark.process
class TestScripts:
    @pytest.mark.parametrize("job_name", ["train", "adapt_users", "sweep_adapters", "transcribe", "prepare"])
    def test_help_lists_every_group_option_and_setting(self, job_name: str, tmp_path: Path) -> None:
        done = script(job_name, "--help", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        for group, options in groups(job_name).items():
            for option in options:
                assert f"  {group}={option} " in done.stdout
        for key in settings(JOBS[job_name].schema):
            assert f"  {key}=" in done.stdout
        assert list(tmp_path.iterdir()) == []

    def test_help_and_mistakes_load_no_heavy_library(self) -> None:
        # -X importtime names every module that is imported
        for argv in (["--help"], ["users.csv", "adapt.sed=1"]):
            command = [sys.executable, "-X", "importtime", str(ROOT / "jobs" / "adapt_users.py"), *argv]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
            assert "hydra" in loaded
            assert loaded & {"torch", "ray", "pyarrow", "pandas", "fsspec", "numpy", "matplotlib"} == set()

    def test_mistake_from_another_folder(self, tmp_path: Path) -> None:
        done = script("adapt_users", "users.csv", "adapter=hugh", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "jobs/adapt_users.py: adapter=hugh: one of large, last, lhuc, medium, small is wanted\n"
        assert list(tmp_path.iterdir()) == []

    def test_cfg_prints_the_composed_settings(self) -> None:
        done = script("train", "model=tiny", "train.schedule=constant", "--cfg")
        assert done.returncode == 0
        printed = yaml.safe_load(done.stdout)
        assert printed["audio"]["num_mels"] == 40
        assert printed["train"]["schedule"] == Schedule.constant.name

    def test_a_reader_that_leaves_is_no_error(self) -> None:
        read_end, write_end = os.pipe()
        os.close(read_end)
        command = [sys.executable, str(ROOT / "jobs" / "train.py"), "--help"]
        with os.fdopen(write_end, "wb") as closed:
            done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")
