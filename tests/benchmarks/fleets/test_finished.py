"""A rerun of a finished run leaves users alone, on files and on S3; how fast it is, the benchmark says itself."""

from pathlib import Path

import pytest
from fleet_runs import run_warm_job
from s3_server import S3Server

from benchmarks.fleets.finished import Rerun, fields_of, rerun_on_files, rerun_on_s3, write_fleet
from ds2ray.store import Store
from ds2ray.store.layout import users_uri

USERS = 5


@pytest.mark.process
def test_nothing_is_written_of_users_on_files(tmp_path: Path) -> None:
    users = write_fleet(tmp_path / "speech", USERS)
    found = rerun_on_files(str(tmp_path / "store"), users, run_warm_job)
    assert (found.writes_under_users, found.requests) == (0, 0)
    assert len(list(Path(users_uri(Store(str(tmp_path / "store")))).iterdir())) == USERS


@pytest.mark.s3
@pytest.mark.process
def test_nothing_is_written_of_users_on_s3(s3_server: S3Server, s3_root: str, tmp_path: Path) -> None:
    found = rerun_on_s3(s3_server, s3_root, write_fleet(tmp_path / "speech", USERS), run_warm_job)
    assert found.writes_under_users == 0
    assert found.requests > 0


@pytest.mark.parametrize(
    ("on_files", "on_s3", "missed"),
    [
        (Rerun(9.9, 0), Rerun(9.9, 0, 99), []),
        (Rerun(10.1, 0), Rerun(9.9, 1, 99), ["seconds_files", "writes_under_users"]),
        (Rerun(9.9, 1), Rerun(10.1, 0, 99), ["seconds_s3", "writes_under_users"]),
    ],
)
def test_bars_that_are_missed_are_named(on_files: Rerun, on_s3: Rerun, missed: list[str]) -> None:
    assert fields_of(5, on_files, on_s3)["falls_short"] == missed
