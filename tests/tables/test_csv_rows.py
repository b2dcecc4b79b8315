"""Rows of CSV whose quotes were never closed: none of them is lost, and none is read as part of another."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_cases import CASES, needs_cases

from ds2ray.tables.csv_rows import CsvRows, Unreadable
from ds2ray.tables.manifest import read_manifest
from ds2ray.tables.notes import reading_notes

HEADER = "utterance_id,user_id,audio,duration_s,transcript"


def lines_read(text: str) -> tuple[list[int], list[int]]:
    """Numbers of the lines that are rows, and of those that are unreadable."""
    found = list(CsvRows(text))
    bad = [line for line, cells in found if isinstance(cells, Unreadable)]
    return [line for line, _ in found if line not in bad], bad


@needs_cases
def test_the_sample_of_a_quote_that_spans_rows() -> None:
    manifest = read_manifest(str(CASES / "tables" / "quote_spans_rows.csv"))
    assert [problem.line for problem in manifest.problems] == [4, 6]
    assert [u.line for u in manifest.utterances] == [2, 3, 5, *range(7, 14)]
    assert "opens a cell that is not closed before line 6" in manifest.problems[0].reason
    assert "closes a double quote that line 4 opens" in manifest.problems[1].reason
    assert not any("\n" in u.transcript for u in manifest.utterances)


@pytest.mark.parametrize(
    ("rows", "bad"),
    [
        # closed by nothing, up to the end
        (['a,ann,a.wav,1,"open', "b,ann,b.wav,2,x", "c,ann,c.wav,3,y"], [2]),
        # in the first cell of a row
        (['"a,ann,a.wav,1,open', "b,ann,b.wav,2,x", 'c,ann,c.wav,3,y"'], [2, 4]),
        # closed by the next row's own, good quotes
        (['a,ann,a.wav,1,"open', 'b,ann,b.wav,2,"x, y"', "c,ann,c.wav,3,y"], [2]),
        # two of them, one after the other
        (['a,ann,a.wav,1,"open', 'b,ann,b.wav,2,"open', "c,ann,c.wav,3,y"], [2, 3]),
        # with the line breaks of Windows
        (['a,ann,a.wav,1,"open\r', "b,ann,b.wav,2,x\r", 'c,ann,c.wav,3,y"\r'], [2, 4]),
        # in a row whose number of cells comes out right
        (['a,ann,"a.wav,1,open', "b,ann,b.wav,2,x", 'c,ann,c.wav",3,y'], [2, 4]),
    ],
)
def test_every_line_is_read_or_told(rows: list[str], bad: list[int]) -> None:
    good, found = lines_read("\n".join([HEADER, *rows]))
    assert found == bad
    assert sorted([*good, *found]) == list(range(1, 2 + len(rows)))


def test_two_columns_are_enough_to_see_it() -> None:
    assert lines_read('audio,transcript\na.wav,"one\nb.wav,two\nc.wav,three"\n') == ([1, 3], [2, 4])
    assert lines_read('transcript,audio\n"one,a.wav\ntwo,b.wav\nthree",c.wav\n') == ([1, 3], [2, 4])


def test_a_line_break_that_is_meant_stays_and_is_counted(tmp_path: Path) -> None:
    uri = f"{tmp_path}/m.csv"
    with open(uri, "w", encoding="utf-8") as file:
        file.write('audio,transcript,mood\na.wav,"two\nlines, and more",glad\nb.wav,one,\n')
    manifest = read_manifest(uri)
    assert [(u.line, u.transcript) for u in manifest.utterances] == [(2, "two\nlines, and more"), (4, "one")]
    assert "rows with a line break in a cell: 1" in reading_notes([manifest])


def test_a_cell_that_is_too_long_takes_no_other_row_with_it() -> None:
    text = f'audio,transcript\na.wav,"{"x" * 200_000}\nb.wav,two\nc.wav,"three"\n'
    good, bad = lines_read(text)
    assert (good, bad) == ([1, 3, 4], [2])


@given(
    st.lists(st.lists(st.text("ab ,\"'\t;", max_size=6), min_size=3, max_size=3), min_size=1, max_size=6),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_program_writes_is_read_unchanged(rows: list[list[str]], newline: str) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator=newline).writerows([["x", "y", "z"], *rows])
    found = [cells for _, cells in CsvRows(text.getvalue())]
    assert found == [["x", "y", "z"], *(row for row in rows if any(cell.strip() for cell in row))]


@given(st.lists(st.text('a,"\n', max_size=8), max_size=8))
def test_no_line_is_lost_whatever_the_quotes(lines: list[str]) -> None:
    """Each line that is not blank is the start of a row, unreadable, or within a row of several lines."""
    text = "\n".join(lines)
    covered: set[int] = set()
    found = list(CsvRows(text))
    for line, cells in found:
        breaks = 0 if isinstance(cells, Unreadable) else sum(cell.count("\n") for cell in cells)
        assert covered.isdisjoint(range(line, line + breaks + 1))
        covered |= set(range(line, line + breaks + 1))
    written = {n for n, content in enumerate(text.split("\n"), start=1) if content.replace(",", "").strip()}
    blank_rows = {n for n in written if not text.split("\n")[n - 1].replace('"', "").replace(",", "").strip()}
    assert written - blank_rows <= covered
