"""Groups of utterances: those with the same cell in a column, or with numbers in the same range."""

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ds2ray.evaluation.judged import Judged

USER, DURATION = "user_id", "duration_s"
MAX_NUMBERS = 10
"""Different numbers of a column, each of which has a group of its own; more are divided into ranges."""
NUM_RANGES = 5
EMPTY = ""


def grouped(rows: Sequence[Judged], column: str) -> dict[str, list[Judged]]:
    """Utterances by what their cells in this column say, in order: of numbers, or of letters; those without any last.

    More than MAX_NUMBERS different numbers are divided into ranges that hold about as many utterances each.
    """
    cells = [_cell(row, column) for row in rows]
    numbers = [_number(cell) for cell in cells]
    given = [number for number, cell in zip(numbers, cells, strict=True) if cell != EMPTY]
    found: defaultdict[str, list[Judged]] = defaultdict(list)
    if given and not any(map(math.isnan, given)) and column != USER:
        names = _names_of_numbers(given)
        order = {name: number for number, name in sorted(names.items())}
        for row, number, cell in zip(rows, numbers, cells, strict=True):
            found[EMPTY if cell == EMPTY else names[number]].append(row)
        return dict(sorted(found.items(), key=lambda item: order.get(item[0], math.inf)))
    for row, cell in zip(rows, cells, strict=True):
        found[cell].append(row)
    return dict(sorted(found.items(), key=lambda item: (item[0] == EMPTY, item[0])))


def _cell(row: Judged, column: str) -> str:
    if column == USER:
        return row.user_id
    if column == DURATION:
        return str(row.duration_s)
    return str(row.cells.get(column, EMPTY)).strip()


def _number(cell: str) -> float:
    """The finite number that a cell holds, or NaN."""
    try:
        number = float(cell)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _names_of_numbers(numbers: Sequence[float]) -> dict[float, str]:
    """The name of the group of each number."""
    different = sorted(set(numbers))
    if len(different) <= MAX_NUMBERS:
        return {number: _shown(number) for number in different}
    quantiles = np.quantile(numbers, np.linspace(0, 1, NUM_RANGES + 1)[1:-1])
    edges = [edge for edge in dict.fromkeys(_rounded(quantiles, different)) if different[0] < edge <= different[-1]]
    places = np.searchsorted(edges, different, side="right")
    return {number: _range(edges, int(place)) for number, place in zip(different, places, strict=True)}


def _rounded(quantiles: np.ndarray, different: Sequence[float]) -> list[float]:
    """The edges in as few digits as tell them apart: a hundredth of the spread is no matter."""
    step = 10 ** math.floor(math.log10((different[-1] - different[0]) / 20))
    return [float(f"{round(float(edge) / step) * step:.12g}") for edge in quantiles]


def _range(edges: Sequence[float], place: int) -> str:
    if not edges:
        return "all"
    if place == 0:
        return f"below {_shown(edges[0])}"
    if place == len(edges):
        return f"{_shown(edges[-1])} and more"
    return f"{_shown(edges[place - 1])} to {_shown(edges[place])}"


def _shown(number: float) -> str:
    return f"{number:.12g}"
