import json

import pytest

from benchmarks.fleets import plan

pytestmark = pytest.mark.process


def test_a_night_of_two_thousand_users(capsys: pytest.CaptureFixture[str]) -> None:
    plan.main(["--users", "2000", "--driven-users", "0"])
    line = json.loads(capsys.readouterr().out)
    assert (line["benchmark"], line["users"], line["changed"]) == ("plan", 2000, 100)
    assert line["cohorts"] * 7200 >= 100 * 60
    assert line["seconds"] > 0
    assert line["settle_seconds"] > 0
    assert line["peak_memory_mb"] > 10
    # the users table and the columns of the index, whatever the number of users
    assert 2 <= line["storage_requests"] <= 20
    assert 4 <= line["settle_storage_requests"] <= 40
