"""Hypotheses as a table: the same columns and types, whatever is in it."""

from dataclasses import fields

from ds2ray.recognition.hypothesis import Hypothesis, Word
from ds2ray.recognition.hypothesis_table import hypotheses_table

HEARD = Hypothesis("one", "ann", "a b", -0.5, (Word("a", 0.1, 0.2), Word("b", 0.3, 0.4)), "1f", "mixed", "")


def test_columns_do_not_depend_on_what_is_in_them() -> None:
    full, silent, empty = (hypotheses_table(rows) for rows in ([HEARD], [Hypothesis("two", "", "")], []))
    assert full.schema == silent.schema == empty.schema
    assert set(full.column_names) == {field.name for field in fields(Hypothesis)}
    assert "null" not in {str(column.type) for column in silent.schema}


def test_rows_are_those_of_the_other_formats() -> None:
    assert hypotheses_table([HEARD]).to_pylist() == [HEARD.to_row()]
