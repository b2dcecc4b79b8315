import pytest

from ds2ray import naming
from ds2ray.naming import named, started_as, typed


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "_scripts", naming._scripts)


def test_a_checkout_has_scripts() -> None:
    assert typed("adapt_users") == "python jobs/adapt_users.py"
    assert typed("adapt_users", ".venv/bin/python") == ".venv/bin/python jobs/adapt_users.py"
    assert named("adapt_users") == "jobs/adapt_users.py"


def test_jobs_are_named_as_the_one_that_was_started() -> None:
    started_as("ds2ray train")
    assert typed("adapt_users", ".venv/bin/python") == named("adapt_users") == "ds2ray adapt-users"
    started_as("jobs/train.py")
    assert named("adapt_users") == "jobs/adapt_users.py"
