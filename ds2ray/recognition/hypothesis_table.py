"""Hypotheses as a table whose columns are the same whatever is in it, and read back from one."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import pyarrow as pa

if TYPE_CHECKING:
    from ds2ray.recognition.hypothesis import Hypothesis

_PLAIN = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}


def hypotheses_table(hypotheses: "Sequence[Hypothesis]") -> pa.Table:
    """The hypotheses as rows, in their order, with a column per field."""
    from ds2ray.recognition.hypothesis import Hypothesis

    schema = pa.schema(list(_arrow(Hypothesis)))
    return pa.Table.from_pylist([hypothesis.to_row() for hypothesis in hypotheses], schema=schema)


def _arrow(of: Any) -> pa.DataType:
    """The type of a column, or of what stands in it, for a type of Python."""
    if of in _PLAIN:
        return _PLAIN[of]
    if is_dataclass(of) and isinstance(of, type):
        types = get_type_hints(of)
        return pa.struct([(field.name, _arrow(types[field.name])) for field in fields(of)])
    parts = [part for part in get_args(of) if part not in (type(None), Ellipsis)]
    if get_origin(of) in (tuple, list):
        return pa.list_(_arrow(parts[0]))
    if get_origin(of) is UnionType and len(parts) == 1:
        return _arrow(parts[0])
    raise TypeError(f"no column can hold {of}")
