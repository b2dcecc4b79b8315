"""data.html: what stands there, and what a browser makes of it on a phone and on a desk, by day and by night."""

import re
from pathlib import Path

import pytest
from browser import open_page

from ds2ray.shapes.shape import Shape
from ds2ray.training.base.sources import TrainingData
from ds2ray.training.data_report.page import page
from ds2ray.training.data_report.report import DataReport, report_on


@pytest.fixture
def odd(odd_data: TrainingData, shape: Shape) -> DataReport:
    return report_on(odd_data, shape, 100)


@pytest.mark.process
def test_a_browser_shows_it_on_a_phone_in_the_dark(odd: DataReport, tmp_path: Path) -> None:
    path = tmp_path / "data.html"
    path.write_text(page(odd, "toys", ["doctor: the loss of one batch does not fall"]), encoding="utf-8")
    opened = open_page(path, tmp_path, 390, 5200, dark=True)
    assert opened.console == ""
    assert opened.share_of(22, 24, 27) > 0.5
    assert "&lt;b&gt;squeezed&lt;/b&gt;" in opened.document


def test_everything_stands_in_it(odd: DataReport) -> None:
    text = page(odd, "57 utterances", ["doctor: well"])
    assert re.findall(r"<h2>(.*?)</h2>", text) == [
        "What stands out",
        "What the doctor found",
        "How much",
        "Lengths",
        "Repeated",
        "Sound",
        "Characters",
    ]
    assert '<th scope="row">transcript too long for its audio</th><td class="n">1</td>' in text
    assert "utterances mixed to mono: 3" in text
    assert "By a sample of 57 training utterances" in text
    assert "of which 2 cannot be decoded" in text


def test_it_needs_no_other_file_and_runs_nothing(odd: DataReport) -> None:
    text = page(odd, "<script>alert(1)</script>")
    assert re.findall(r"\s(?:src|href|action)=", text) == []
    assert "default-src 'none'" in text
    assert "<script" not in text
    assert "<b>squeezed" not in text


def test_a_screen_reader_finds_its_way(odd: DataReport) -> None:
    text = page(odd, "toys")
    assert '<html lang="en">' in text
    assert text.count("<main>") == text.count("<h1>") == 1
    assert text.count("<caption>") == text.count("<table>") > 8
    assert re.findall(r"<th>", text) == []  # each says whether it heads a row or a column


def test_without_a_sample_and_without_anything_to_say_it_is_short(sound_data: TrainingData, shape: Shape) -> None:
    text = page(report_on(sound_data, shape, 0), "toys")
    assert "No audio was listened to: train.report_sample is 0." in text
    assert "What the doctor found" not in text
    assert "Rows left out" not in text


def test_with_a_salt_no_text_stands_there(
    odd_data: TrainingData, shape: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DS2RAY_USER_KEY_SALT", "pepper")
    text = page(report_on(odd_data, shape, 0), "toys")
    assert "squeezed" not in text
    assert "abcdabcd" not in text
    assert "The texts that stand there most often" not in text
