"""evaluation.html and the plots in it: what stands there, and what a browser makes of it."""

import base64
import re
from pathlib import Path

import pytest
from browser import open_page

from ds2ray.evaluation.evaluation import Evaluation
from ds2ray.evaluation.page import MAX_NOTES, page
from ds2ray.evaluation.plots import gains_svg, reliability_svg, users_svg

BLUE = (31, 119, 180)
"""Of points in plots: nothing else on the page has it."""
ATTRIBUTES = re.compile(r"\s(?:src|href|action)=\"([^\"]*)\"")


@pytest.mark.process
def test_a_browser_shows_it(evaluation: Evaluation, tmp_path: Path) -> None:
    path = tmp_path / "evaluation.html"
    path.write_text(page(evaluation), encoding="utf-8")
    opened = open_page(path, tmp_path)
    assert opened.console == ""
    assert opened.share_of(*BLUE) > 1e-5
    assert "<title>Evaluation of test.csv</title>" in opened.document
    assert "<td>&lt;b&gt;bold&lt;/b&gt;</td>" in opened.document
    assert "<b>bold</b>" not in opened.document
    assert opened.document.count("<img ") == 3


def test_it_needs_no_other_file_and_runs_nothing(evaluation: Evaluation) -> None:
    text = page(evaluation)
    addresses = ATTRIBUTES.findall(text)
    assert len(addresses) == 3
    assert all(address.startswith("data:image/svg+xml;base64,") for address in addresses)
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "default-src 'none'" in text


def test_everything_stands_in_it(evaluation: Evaluation) -> None:
    text = page(evaluation)
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert headings == [
        "Systems",
        "Users",
        "Gain by minutes of speech",
        "Confidence of words",
        "By user_id",
        "By source",
        "Other people’s speech",
        "Words most often wrong",
        "Utterances with the most errors",
        "Notes",
    ]
    assert '<span class="swapped"><del>light</del> <ins>night</ins></span>' in text
    assert "adapters: expected calibration error 12.5 % on 8 words; $a_1$: expected" in text
    assert text.count("&lt;i&gt;nothing&lt;/i&gt;") == MAX_NOTES
    assert f"… and {60 - MAX_NOTES} more, in evaluation.json" in text
    assert page(evaluation) == text


def test_a_single_system_is_compared_with_nothing(one_system: Evaluation) -> None:
    text = page(one_system)
    assert re.findall(r"<h2>(.*?)</h2>", text)[:3] == ["Systems", "Users", "By user_id"]
    assert text.count("<img ") == 1
    assert "→" not in re.sub('base64,[^"]*', "", text)


def test_confidence_is_drawn_of_the_systems_that_have_some(evaluation: Evaluation, many_users: Evaluation) -> None:
    svg = reliability_svg(evaluation)
    assert ">$a_1$</text>" in svg
    assert ">confidence (%)</text>" in svg
    assert reliability_svg(evaluation) == svg
    assert reliability_svg(many_users) == ""


def test_names_stand_in_the_plot_as_they_are_written(evaluation: Evaluation) -> None:
    svg = users_svg(evaluation)
    for name in ("ann", "김철수", "&lt;b&gt;bold&lt;/b&gt;", "$a_1$"):
        assert f">{name}</text>" in svg
    assert users_svg(evaluation) == svg


def test_gains_are_drawn_of_the_users_whose_minutes_are_known(evaluation: Evaluation, many_users: Evaluation) -> None:
    svg = gains_svg(evaluation)
    assert ">better (1)</text>" in svg
    assert ">no clear difference (3)</text>" in svg
    assert gains_svg(many_users) == ""


def test_more_users_than_have_room_are_points(many_users: Evaluation) -> None:
    svg = users_svg(many_users)
    assert "user-01" not in svg
    counts = [int(count) for count in re.findall(r">(?:better|no clear difference|worse) \((\d+)\)<", svg)]
    assert sum(counts) == 50


def test_the_picture_of_a_page_is_its_svg(evaluation: Evaluation) -> None:
    first, *_ = ATTRIBUTES.findall(page(evaluation))
    assert base64.b64decode(first.partition(",")[2]).decode() == users_svg(evaluation)
