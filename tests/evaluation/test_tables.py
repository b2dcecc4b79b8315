"""An evaluation on a terminal."""

import io

import pytest
from rich.console import Console, RenderableType

from ds2ray.chance import Interval
from ds2ray.evaluation.evaluation import Evaluation
from ds2ray.evaluation.figures import Difference
from ds2ray.evaluation.tables import (
    MAX_ROWS,
    columns_shown,
    difference,
    groups_table,
    points,
    speech,
    summary_lines,
    systems_table,
)


def printed(table: RenderableType, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def rows_of(text: str) -> dict[str, list[str]]:
    lines = [line.strip("│").split("│") for line in text.splitlines() if line.startswith("│")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_the_systems(evaluation: Evaluation) -> None:
    rows = rows_of(printed(systems_table(evaluation, 120)))
    assert list(rows) == ["base", "adapters"]
    words = evaluation.total.figures["base"].score.words
    assert rows["base"][0].startswith(f"{words.rate():.1%}".replace("%", " %") + " (")
    assert rows["base"][1:4] == [str(words.substitutions), str(words.deletions), str(words.insertions)]
    assert rows["base"][5] == "40 ×"


@pytest.mark.parametrize("width", [80, 120])
def test_no_cell_is_broken(evaluation: Evaluation, width: int) -> None:
    tables = [groups_table(evaluation, breakdown) for breakdown in evaluation.breakdowns[:1]]
    for table in (systems_table(evaluation, width), *tables):
        assert "" not in rows_of(printed(table, width))


def test_groups_have_the_errors_before_and_after_with_a_mark_beyond_chance(evaluation: Evaluation) -> None:
    rows = rows_of(printed(groups_table(evaluation, evaluation.by_user)))
    assert set(rows) == {"ann", "김철수", "<b>bold</b>", "$a_1$", "[red]x[/red]"}
    assert rows["김철수"] == ["10", "40", "15.0 % → 2.5 % ⇊", "3.5 % → 0.6 %"]
    assert "⇊ fell, ⇈ rose beyond chance" in printed(groups_table(evaluation, evaluation.by_user))


def test_a_column_with_one_group_is_not_shown(one_system: Evaluation, evaluation: Evaluation) -> None:
    assert [breakdown.column for breakdown in columns_shown(evaluation.breakdowns)] == ["user_id", "source"]
    assert len(columns_shown(one_system.breakdowns)) == 1


def test_one_system_has_its_rates_alone(one_system: Evaluation) -> None:
    text = printed(groups_table(one_system, one_system.by_user))
    assert rows_of(text)["ann"] == ["9", "36", "25.0 %", "5.9 %"]
    assert "→" not in text
    assert [line.partition(":")[0] for line in summary_lines(one_system)] == ["words most often wrong"]


def test_of_many_groups_those_with_the_most_errors_are_shown(many_users: Evaluation) -> None:
    text = printed(groups_table(many_users, many_users.by_user))
    rows = rows_of(text)
    assert len(rows) == MAX_ROWS
    assert f"the {MAX_ROWS} of 50 with the most errors" in " ".join(text.split())
    left_out = [group for group in many_users.by_user.groups if group.name not in rows]
    rates = {group.name: group.figures["adapters"].score.words.rate() for group in many_users.by_user.groups}
    assert min(rates[name] for name in rows) >= max(rates[group.name] for group in left_out)


def test_the_lines_below(evaluation: Evaluation) -> None:
    lines = list(summary_lines(evaluation))
    assert lines[0].startswith("base → adapters: WER −")
    assert lines[0].endswith("): no clear difference")
    assert lines[1].lstrip().startswith("1 user better, 1 worse, 3 with no clear difference")
    assert lines[2:4] == [
        "confidence of words, adapters: expected calibration error 12.5 % on 8 words",
        "confidence of words, $a_1$: expected calibration error 50.0 % on 2 words, not calibrated",
    ]
    assert lines[4].startswith("on other people's speech: WER 0.0 % by the base, 15.0 % with somebody else's adapter")
    assert lines[4].endswith("5 of 5 adapters worse than the base beyond chance")
    assert lines[5].startswith("words most often wrong: light → night (")


def test_differences_in_words() -> None:
    assert difference(Difference(-0.05)) == "WER −5.0 points; too few utterances to tell chance apart"
    told = difference(Difference(0.012, Interval(-0.01, 0.03), 0.2))
    assert told == "WER +1.2 points (−1.0 to +3.0, p 0.20): no clear difference"
    assert (points(0.0), points(-0.0001)) == ("0.0", "0.0")
    assert (speech(90), speech(7200)) == ("1.5 min", "2.0 h")
