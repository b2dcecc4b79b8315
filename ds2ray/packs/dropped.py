"""Rows that were left out of packs: their number by cause, and a table of all of them with their problems."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence

from ds2ray import storage
from ds2ray.tables.problems import Problem, cause

COLUMNS = ("manifest", "line", "utterance_id", "user_id", "column", "value", "reason", "remedy")
_MAX_CAUSES = 20


def dropped_rows(problems: Iterable[Problem]) -> list[list[Problem]]:
    """The problems of each row that was left out: a row may have several."""
    rows: dict[tuple[str, int, str], list[Problem]] = {}
    for problem in problems:
        # two users may share a manifest, whose rows are each read for both
        rows.setdefault((problem.manifest_uri, problem.line, problem.user_id), []).append(problem)
    return list(rows.values())


def write_dropped(uri: str, problems: Iterable[Problem]) -> None:
    """Write a CSV with a line for each problem, in the order of tables and their lines."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for p in sorted(problems, key=lambda p: (p.manifest_uri, p.line, p.column)):
        place = (p.manifest_uri, p.line, p.utterance_id, p.user_id)
        writer.writerow([*place, p.column, p.value, p.reason, p.remedy])
    storage.write_bytes(uri, text.getvalue().encode(errors="backslashreplace"))  # names may hold halves of letters


def causes_table(rows: Sequence[Sequence[Problem]]) -> list[str]:
    """The lines of a table: the rows left out, by cause, with an example. The first problem of a row is its cause."""
    if not rows:
        return []
    counts = Counter(cause(row[0]) for row in rows)
    example = {cause(row[0]): row[0] for row in reversed(rows)}
    width = len(f"{len(rows)}")
    lines = [f"  {len(rows)} left out:"]
    for name, count in counts.most_common(_MAX_CAUSES):
        lines += [f"    {count:>{width}}  {name}", f"    {'':>{width}}    e.g. {example[name]}"]
    if len(counts) > _MAX_CAUSES:
        rest = sum(count for _, count in counts.most_common()[_MAX_CAUSES:])
        lines.append(f"    {rest:>{width}}  {len(counts) - _MAX_CAUSES} other causes")
    return lines
