"""The demo's result, in its three forms."""

import io

import pytest
from rich.console import Console

from ds2ray.demo.gains import Comparison, DemoRow, gains_png, gains_table, result_line
from ds2ray.metrics import Score, score_texts

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAID = "turn on the light"


def scores(*hypotheses: str) -> tuple[Score, ...]:
    return tuple(score_texts([SAID], [hypothesis]) for hypothesis in hypotheses)


def comparison(before: str, after: str) -> Comparison:
    return Comparison(scores(before), scores(after))


@pytest.fixture
def rows() -> list[DemoRow]:
    better, worse = comparison("turn of a light", SAID), comparison(SAID, "turn on the night")
    same = comparison("turn on a light", "turn on a light")
    return [DemoRow("winston", 90.0, better, better, better, 7.25), DemoRow("fiona", 60.0, worse, same, better, 6.0)]


def rows_of(rows: list[DemoRow]) -> dict[str, list[str]]:
    console = Console(file=io.StringIO(), width=140)
    with console.capture() as capture:
        console.print(gains_table(rows, 0.5))
    lines = [line for line in capture.get().splitlines() if "│" in line]
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    return {row[0]: row[1:] for row in cells}


def test_the_last_line_holds_means_over_users_and_for_whom_errors_rose_beyond_chance(rows: list[DemoRow]) -> None:
    # one sentence is all that there is: drawn again and again, it always has more errors
    assert result_line(rows, 164.6) == "demo: users=2 wer_before=25.0 wer_after=12.5 wer_lm=12.5 worse=1 seconds=165"


@pytest.mark.parametrize(
    ("risen", "fallen", "harmed"),
    [(1, 0, False), (3, 0, False), (4, 0, True), (3, 2, False), (12, 2, True), (2, 12, False), (0, 0, False)],
)
def test_a_rise_of_a_few_words_may_be_chance(risen: int, fallen: int, harmed: bool) -> None:
    worse, better, same = (SAID, "turn on the night"), ("turn on the night", SAID), (SAID, SAID)
    sentences = [worse] * risen + [better] * fallen + [same] * (25 - risen - fallen)
    compared = Comparison(scores(*(s[0] for s in sentences)), scores(*(s[1] for s in sentences)))
    assert compared.harmed() == harmed
    assert compared.mark() == (" ⇈" if harmed else " ↑" if risen > fallen else "")
    same_errors = comparison(SAID, SAID)
    for row in (
        DemoRow("fiona", 60.0, same_errors, same_errors, compared, 1.0),  # with silence around them counts as well …
        DemoRow("fiona", 60.0, same_errors, compared, same_errors, 1.0),  # … and so do those with a language model
    ):
        assert f"worse={int(harmed)} " in result_line([row], 1.0)


def test_the_table_has_a_row_for_each_user_and_columns_for_the_language_model_and_silence(rows: list[DemoRow]) -> None:
    cells = rows_of(rows)
    assert cells["winston"] == ["1.5", *["50.0% → 0.0%"] * 3, "23.5% → 0.0%", "7.2"]
    assert cells["fiona"][1:4] == ["0.0% → 25.0% ⇈", "25.0% → 25.0%", "50.0% → 0.0%"]


def test_a_narrow_terminal_is_shown_words_alone_with_no_cell_broken(rows: list[DemoRow]) -> None:
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as capture:
        console.print(gains_table(rows, 0.5, 80))
    lines = [line for line in capture.get().splitlines() if line.startswith("│")]
    assert [line.strip("│").split("│")[0].strip() for line in lines] == ["winston", "fiona"]
    assert all("→" in line for line in lines)
    assert "CER" not in capture.get()


def test_the_picture_is_a_png_that_shows_what_the_rows_say(rows: list[DemoRow]) -> None:
    picture = gains_png(rows)
    assert picture.startswith(PNG_SIGNATURE)
    assert gains_png(rows) == picture
    assert gains_png(rows[:1]) != picture


def test_a_user_without_errors_is_drawn_too() -> None:
    faultless = comparison(SAID, SAID)
    assert gains_png([DemoRow("john", 60.0, faultless, faultless, faultless, 1.0)]).startswith(PNG_SIGNATURE)
