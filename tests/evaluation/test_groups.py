"""Groups of utterances by the cells of a column."""

import itertools

import pytest
from judged_rows import SAID, judged

from ds2ray.evaluation.groups import DURATION, USER, grouped
from ds2ray.evaluation.judged import Judged


def rows_with(*cells: object) -> list[Judged]:
    return [judged("ann", SAID, SAID, cells={} if cell is None else {"age": cell}) for cell in cells]


def sizes(rows: list[Judged], column: str = "age") -> dict[str, int]:
    return {name: len(members) for name, members in grouped(rows, column).items()}


def test_text_is_told_apart_as_it_is_with_empty_cells_last() -> None:
    rows = rows_with("phone", None, "headset", " phone ", "")
    found = sizes(rows)
    assert found == {"headset": 1, "phone": 2, "": 2}
    assert list(found) == ["headset", "phone", ""]


def test_a_few_numbers_are_groups_in_the_order_of_numbers() -> None:
    assert list(sizes(rows_with("10", 9, "9.0", 100, None)).items()) == [("9", 2), ("10", 1), ("100", 1), ("", 1)]


def test_many_numbers_are_divided_into_ranges_of_like_size() -> None:
    found = sizes(rows_with(*range(20, 70), None))
    assert list(found) == ["below 30", "30 to 40", "40 to 49", "49 to 59", "59 and more", ""]
    assert list(found.values()) == [10, 10, 9, 10, 11, 1]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_ranges_of_numbers_of_any_size_hold_every_number_once(scale: float) -> None:
    numbers = [scale * (1 + n**3 / 7) for n in range(40)]
    found = grouped(rows_with(*numbers), "age")
    assert 3 <= len(found) <= 5
    lists = [[float(str(row.cells["age"])) for row in members] for members in found.values()]
    assert sorted(number for members in lists for number in members) == pytest.approx(sorted(numbers))
    assert all(max(before) < min(after) for before, after in itertools.pairwise(lists))


def test_most_numbers_may_be_the_same() -> None:
    found = sizes(rows_with(*[0] * 100, *range(1, 12)))
    assert sum(found.values()) == 111
    assert all(found.values())


@pytest.mark.parametrize("odd", ["nan", "inf", "12a", True, [1, 2], {"a": 1}])
def test_one_cell_that_is_no_number_makes_all_of_them_text(odd: object) -> None:
    found = sizes(rows_with(*range(20), odd))
    assert len(found) == 21
    assert found[str(odd)] == 1


def test_users_are_names_even_where_these_are_numbers() -> None:
    rows = [judged(str(number), SAID, SAID) for number in range(30)]
    assert len(grouped(rows, USER)) == 30


def test_durations_are_those_of_the_audio() -> None:
    rows = [judged("ann", SAID, SAID, duration_s=seconds) for seconds in (1.5, 0.5, 1.5)]
    assert sizes(rows, DURATION) == {"0.5": 1, "1.5": 2}
