"""The formats of tables, told by their names."""

from pathlib import PurePosixPath

CSV, JSON_LINES, PARQUET = ".csv", ".jsonl", ".parquet"


def table_format(uri: str) -> str:
    """The suffix of a table's URI, in lower case."""
    return PurePosixPath(uri).suffix.lower()
