"""A run's figures for Prometheus, and the alerts and panels that are made of them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from ds2ray.nights.exposition import PREFIX, SERIES, exposition, last_good_of
from ds2ray.nights.notice import notice

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "k8s" / "monitoring"
SUMMARY = {
    "run_id": "night-7",
    "exit_code": 0,
    "statuses": {"adapted": 3, "unchanged": 40, "failed": 0},
    "unchanged_without_adapter": 2,
    "unusable": 1,
    "drifted": 1,
    "held_out_error_before": 0.25,
    "held_out_error_after": 0.125,
    "stages": {"planning": 1.5, "training": 90.0},
    "seconds": 95.25,
    "gpus": 2.0,
}


def test_the_figures_of_a_complete_run() -> None:
    lines = exposition(SUMMARY, 1000.5, 10.0).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'ds2ray_run_users{status="adapted"} 3',
        'ds2ray_run_users{status="unchanged"} 40',
        'ds2ray_run_users{status="failed"} 0',
        "ds2ray_run_unchanged_without_adapter 2",
        "ds2ray_run_unusable_users 1",
        "ds2ray_run_drifting_users 1",
        'ds2ray_run_error_ratio{when="before"} 0.25',
        'ds2ray_run_error_ratio{when="after"} 0.125',
        'ds2ray_run_stage_seconds{stage="planning"} 1.5',
        'ds2ray_run_stage_seconds{stage="training"} 90.0',
        "ds2ray_run_seconds 95.25",
        "ds2ray_run_gpus 2.0",
        "ds2ray_run_exit_code 0",
        "ds2ray_run_end_timestamp_seconds 1000.5",
        "ds2ray_run_last_good_timestamp_seconds 1000.5",
    ]
    types = [line.split()[2:] for line in lines if line.startswith("# TYPE")]
    assert types == [[PREFIX + name, "gauge"] for name in SERIES]


def test_a_run_that_failed_leaves_the_last_good_one_where_it_was() -> None:
    good = exposition(SUMMARY, 1000.5, None)
    bad = exposition({"exit_code": 5}, 2000.0, last_good_of(good))
    assert last_good_of(bad) == 1000.5
    assert "ds2ray_run_exit_code 5" in bad.splitlines()
    assert last_good_of("") is last_good_of(exposition({"exit_code": 3}, 1.0, None)) is None
    assert last_good_of("ds2ray_run_last_good_timestamp_seconds soon") is None


@pytest.mark.parametrize("name", ["alerts.yaml", "dashboard.json"])
def test_alerts_and_panels_are_of_series_that_a_run_leaves(name: str) -> None:
    text = (MONITORING / name).read_text("utf-8")
    used = set(re.findall(rf"{PREFIX}(\w+)", text))
    assert used
    assert used <= set(SERIES)


def test_every_alert_says_what_it_is_and_the_page_what_to_do() -> None:
    (group,) = yaml.safe_load((MONITORING / "alerts.yaml").read_text("utf-8"))["groups"]
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    for rule in group["rules"]:
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert f"`{rule['alert']}`" in page
    panels = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) == 12


@pytest.mark.process
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_wrong() -> None:
    checked = subprocess.run(
        ["promtool", "check", "rules", str(MONITORING / "alerts.yaml")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_the_notice_of_a_run() -> None:
    assert notice(SUMMARY, "", "s3://fleet") == (
        "ds2ray run night-7 of s3://fleet: complete (0)\n3 adapted, 40 unchanged"
    )
    assert notice({"exit_code": 2}, "users.csv: no such file", "./store") == (
        "ds2ray run (not begun) of ./store: wrong settings or input, nothing was started (2)\nusers.csv: no such file"
    )
