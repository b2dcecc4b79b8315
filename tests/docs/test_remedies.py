"""The runbook tells of every exit code, every status and every alert that there is, and of no other."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest
import yaml
from pages import ROOT

import ds2ray.commands
from ds2ray.commands.sweep_adapters import SOME_FAILED
from ds2ray.commands.upkeep.keeping import SOMETHING_WRONG
from ds2ray.errors import Ds2RayError
from ds2ray.following import CAN_PASS
from ds2ray.nights.notice import MEANINGS
from ds2ray.store.outcomes import Status

PAGE = ROOT / "docs" / "operations.md"
CLOSED_PIPE = 141
"""Of a job whose reader has left: 128 and the number of SIGPIPE."""


def rows_of(heading: str) -> dict[str, list[str]]:
    """The rows of the table below a heading of the page by their first cells."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n### {heading}\n")[2]
    lines = re.findall(r"^\|(.*)\|$", re.split(r"^#", section, flags=re.MULTILINE)[0], re.MULTILINE)
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines[2:]]
    return {row[0].strip("`"): row[1:] for row in rows}


def kinds(kind: type[Ds2RayError]) -> Iterator[type[Ds2RayError]]:
    yield kind
    for more in kind.__subclasses__():
        yield from kinds(more)


def test_every_exit_code_is_told_of() -> None:
    for module in pkgutil.walk_packages(ds2ray.commands.__path__, "ds2ray.commands."):
        importlib.import_module(module.name)  # errors that only a command has
    codes = {0, CLOSED_PIPE, SOME_FAILED, SOMETHING_WRONG, *CAN_PASS, *MEANINGS}
    codes |= {kind.exit_code for kind in kinds(Ds2RayError)}
    assert {int(code) for code in rows_of("Exit codes")} == codes


def test_every_status_is_told_of() -> None:
    assert set(rows_of("Statuses")) == {status.value for status in Status}


def test_every_alert_is_told_of() -> None:
    groups = yaml.safe_load((ROOT / "k8s" / "monitoring" / "alerts.yaml").read_text())["groups"]
    assert set(rows_of("Alerts")) == {rule["alert"] for group in groups for rule in group["rules"]}


@pytest.mark.parametrize("heading", ["Exit codes", "Statuses", "Alerts"])
def test_each_has_a_meaning_and_a_remedy(heading: str) -> None:
    for name, row in rows_of(heading).items():
        assert [bool(cell) for cell in row] == [True, True], name
