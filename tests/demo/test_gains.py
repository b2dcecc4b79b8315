"""The demo's result, in its three forms."""

import io

import pytest
from rich.console import Console

from ds2ray.demo.gains import DemoRow, gains_png, gains_table, result_line
from ds2ray.metrics import Score, score_texts

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def score(*hypotheses: str) -> Score:
    return score_texts(["turn on the light"] * len(hypotheses), list(hypotheses))


@pytest.fixture
def rows() -> list[DemoRow]:
    return [
        DemoRow("winston", 90.0, score("turn of a light"), score("turn on the light"), 7.25),
        DemoRow("fiona", 60.0, score("turn on the light"), score("turn on the night"), 6.0),
    ]


def test_the_last_line_holds_means_over_users_and_who_got_worse(rows: list[DemoRow]) -> None:
    assert result_line(rows, 164.6) == "demo: users=2 wer_before=25.0 wer_after=12.5 worse=1 seconds=165"


def test_the_table_has_a_row_for_each_user(rows: list[DemoRow]) -> None:
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as capture:
        console.print(gains_table(rows))
    lines = capture.get().splitlines()
    (winston,) = (line for line in lines if "winston" in line)
    cells = [cell.strip() for cell in winston.strip("│").split("│")]
    assert cells == ["winston", "1.5", "50.0% → 0.0%", "23.5% → 0.0%", "7.2"]
    assert any("fiona" in line and "0.0% → 25.0%" in line for line in lines)


def test_the_picture_is_a_png_that_shows_what_the_rows_say(rows: list[DemoRow]) -> None:
    picture = gains_png(rows)
    assert picture.startswith(PNG_SIGNATURE)
    assert gains_png(rows) == picture
    assert gains_png(rows[:1]) != picture


def test_a_user_without_errors_is_drawn_too() -> None:
    faultless = DemoRow("john", 60.0, score("turn on the light"), score("turn on the light"), 1.0)
    assert gains_png([faultless]).startswith(PNG_SIGNATURE)
