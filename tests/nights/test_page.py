"""report.html: what stands there, and what a browser makes of it on a phone and on a desk, by day and by night."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from browser import open_page
from rich.console import Console

from ds2ray.config import ReportConfig
from ds2ray.nights.compared import Comparison, compared
from ds2ray.nights.night import Night
from ds2ray.nights.page import MAX_USERS, page
from ds2ray.nights.tables import compared_table

HOSTILE = "%3Cb%3Ebold%3C%2Fb%3E"
"""The key of the user in the second night whose id is a tag."""


@pytest.mark.process
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)])
def test_a_browser_shows_it(comparison: Comparison, tmp_path: Path, width: int, dark: bool) -> None:
    path = tmp_path / "report.html"
    path.write_text(page(comparison, ReportConfig()), encoding="utf-8")
    opened = open_page(path, tmp_path, width, 5200, dark=dark)
    assert opened.console == ""
    assert opened.share_of(*((22, 24, 27) if dark else (255, 255, 255))) > 0.5
    assert opened.document.count("<img ") == 3
    assert "<b>bold</b>" not in opened.document
    assert "<script>" not in opened.document


def test_it_needs_no_other_file_and_runs_nothing(comparison: Comparison) -> None:
    text = page(comparison, ReportConfig(show_ids=True))
    addresses = re.findall(r"\s(?:src|href|action)=\"([^\"]*)\"", text)
    assert [address.partition(",")[0] for address in addresses] == ["data:image/svg+xml;base64"] * 3
    assert "default-src 'none'" in text
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_everything_stands_in_it(comparison: Comparison) -> None:
    text = page(comparison, ReportConfig(price_per_gpu_hour=2.0, currency="EUR"))
    assert re.findall(r"<h2>(.*?)</h2>", text) == [
        "Users",
        "Who got no new adapter, and why",
        "Errors",
        "Errors that rose",
        "Nights",
        "Time and cost",
        "Making",
    ]
    assert "GPU-hours: 5.00." in re.sub(r"\s+", " ", text)
    assert "Cost: 10.00 EUR." in text
    assert '<dt class="key">adapt.num_epochs</dt><dd>20 → 30</dd>' in text
    assert 'class="n">83.3 %</td>' in text


@pytest.mark.parametrize(("held", "said"), [(True, "The gains held"), (False, "The gains did not hold")])
def test_a_canary_is_told_on_the_page_and_in_the_terminal(first_night: Night, held: bool, said: str) -> None:
    canary = {"base_before": "a" * 16, "users": 32, "served": 20, "published": 18, "error_before": 0.1}
    traffic = {"requests": 1234, "retries": 5, "read_bytes": 10_000_000, "written_bytes": 2000}
    summary = {**first_night.summary, "canary": {**canary, "error_after": 0.08, "held": held}, "traffic": traffic}
    comparison = compared(replace(first_night, summary=summary))
    text = page(comparison, ReportConfig())
    assert said in text
    assert "32 users with an adapter of base aaaaaaaaaaaaaaaa" in text
    assert "Requests to servers: 1,234, of which 5 were sent again; 10.0 MB read, 2.0 KB written." in text
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(compared_table(comparison, str, 200))
    assert (
        f"canary {'held' if held else 'failed'}: of 32 users 18 get an adapter, 2 do no worse" in console.export_text()
    )


def test_a_screen_reader_finds_its_way(comparison: Comparison) -> None:
    text = page(comparison, ReportConfig())
    assert '<html lang="en">' in text
    assert text.count("<main>") == text.count("<h1>") == 1
    assert all(" alt=" in image for image in re.findall(r"<img [^>]*>", text))
    assert re.findall(r"<thead>.*?<th>", text) == []
    tables = text.count("<table>")
    assert text.count("<caption>") == tables - 1  # the table of all settings is named by its summary
    assert "of 4 trained users, the held-out error fell for 2" in text


def test_users_are_named_by_key_unless_ids_are_wanted(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    by_id, shown = ReportConfig(show_ids=True), "&lt;b&gt;bold&lt;/b&gt;"
    assert HOSTILE in page(comparison, ReportConfig())
    assert shown not in page(comparison, ReportConfig())
    assert shown in page(comparison, by_id)
    monkeypatch.setenv("DS2RAY_USER_KEY_SALT", "pepper")
    assert shown not in page(comparison, by_id)


def test_a_night_without_changes_and_one_of_an_earlier_release_have_a_page(first_night: Night) -> None:
    quiet = page(compared(replace(first_night, outcomes=()), [first_night]), ReportConfig())
    assert "<img" not in quiet
    bare = page(compared(Night({"run_id": "old"}, None, ())), ReportConfig())
    assert "an earlier release did not record how" in bare
    assert "GPU-hours: not recorded" in bare


def test_of_very_many_users_some_are_listed(first_night: Night) -> None:
    many = replace(compared(first_night), gone=tuple(f"user-{number}" for number in range(MAX_USERS + 5)))
    text = page(many, ReportConfig())
    assert f"user-{MAX_USERS - 1}<" in text
    assert f"user-{MAX_USERS}<" not in text
    assert "… and 5 more" in text
