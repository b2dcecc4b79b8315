from collections.abc import Callable

import pytest
from rich.table import Table

from ds2ray import display
from ds2ray.display.kept import LONGEST_LINE, KeptLines


def at_once(**bounds: int) -> KeptLines:
    return KeptLines(now=lambda: 0.0, **bounds)


AT = "1970-01-01 00:00:00 "


def test_every_line_has_the_time_at_which_it_was_printed() -> None:
    seconds = iter((0.0, 3661.0))
    kept = KeptLines(now=lambda: next(seconds))
    kept.add("one\ntwo")
    kept.add("three")
    assert kept.text() == f"{AT}one\n{AT}two\n1970-01-01 01:01:01 three\n"


def test_without_a_line_there_is_nothing() -> None:
    assert at_once().text() == ""


def test_the_middle_is_left_out() -> None:
    kept = at_once(first=50, last=60)
    for number in range(100):
        kept.add(f"{number:02}")
    lines = kept.text().splitlines()
    gap = lines.index("… 95 lines are left out …")
    assert [line.removeprefix(AT) for line in lines] == ["00", "01", "02", lines[gap], "98", "99"]


@pytest.mark.parametrize("where", [{"first": 10**6}, {"first": 0}])
def test_a_line_without_end_is_cut(where: dict[str, int]) -> None:
    kept = at_once(**where)
    kept.add(10**7 * "x")
    assert len(kept.text()) == len(AT) + LONGEST_LINE + 1


def printed(work: Callable[[], None]) -> list[str]:
    with display.keeping() as kept:
        work()
    return [line[len(AT) :] for line in kept.text().splitlines()]


def test_lines_tables_warnings_and_the_beginnings_of_phases_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        display.say("a line\x1b")
        display.complain("a warning")
        display.show(lambda width: Table("heading", title="a table"))
        for number in range(3):
            display.doing("training", f"{number} of 3")

    lines = printed(work)
    assert lines[:2] == ["a line\\x1b", "a warning"]
    assert any("heading" in line for line in lines)
    assert [line for line in lines if "training" in line] == ["training · 0 of 3"]
    display.say("afterwards")
    assert "a line" in capsys.readouterr().out


def test_nothing_is_kept_of_what_others_print_outside() -> None:
    with display.keeping() as outer:
        assert printed(lambda: display.say("inside")) == ["inside"]
        display.say("outside")
    assert outer.text().splitlines()[0].endswith(" outside")
