"""A run's figures as Prometheus reads them: text of one line per series. No label says who a user is."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

PREFIX = "ds2ray_run_"

SERIES = {
    "users": "users of the table, by what became of them",
    "unchanged_without_adapter": "unchanged users who have no adapter",
    "unusable_users": "users without usable speech for a cause in the data pipeline",
    "drifting_users": "users whose adapter errs more than the base on their newest speech",
    "error_ratio": "mean held-out error of the trained users, before and after",
    "stage_seconds": "seconds of the run, by stage",
    "seconds": "seconds of the run",
    "gpus": "GPUs of the cluster while the run trained",
    "exit_code": "what the run ended with: 0 complete, 2 input, 3 too many failed, 5 storage, 6 canary, 75 run again",
    "end_timestamp_seconds": "when the run ended",
    "last_good_timestamp_seconds": "when the last run ended that was complete",
}
"""The names of all series, behind the prefix, with what they count."""


def exposition(summary: Mapping[str, Any], ended_s: float, last_good_s: float | None) -> str:
    """The text for a run.

    Args:
        summary: as summary.json has it; of a run that failed before it had one, with `exit_code` alone.
        ended_s: seconds since 1970.
        last_good_s: when an earlier run ended that was complete; None where none is known.
    """
    values = dict(_values(summary, ended_s, ended_s if summary.get("exit_code") == 0 else last_good_s))
    return gauges(PREFIX, SERIES, [(series, labels, value) for (series, labels), value in values.items()])


def gauges(prefix: str, meanings: Mapping[str, str], values: Iterable[tuple[str, str, float]]) -> str:
    """The text of gauges.

    Args:
        meanings: of the series, by name, in the order of the text.
        values: name, labels as `{of="training"}` or nothing, and value.
    """
    given, lines = list(values), list[str]()
    for name, meaning in meanings.items():
        own = [(labels, value) for series, labels, value in given if series == name]
        if own:
            lines += [f"# HELP {prefix}{name} {meaning}", f"# TYPE {prefix}{name} gauge"]
            lines += [f"{prefix}{name}{labels} {value!r}" for labels, value in own]
    return "\n".join(lines) + "\n"


def last_good_of(text: str, prefix: str = PREFIX) -> float | None:
    """When the last complete run ended, by the text of an earlier run."""
    found = re.search(rf"^{prefix}last_good_timestamp_seconds (\S+)$", text, re.MULTILINE)
    try:
        return float(found[1]) if found else None
    except ValueError:
        return None


def _values(
    summary: Mapping[str, Any], ended_s: float, last_good_s: float | None
) -> Iterator[tuple[tuple[str, str], float]]:
    for status, count in summary.get("statuses", {}).items():
        yield ("users", f'{{status="{status}"}}'), count
    for field, name in (
        ("unchanged_without_adapter", "unchanged_without_adapter"),
        ("unusable", "unusable_users"),
        ("drifted", "drifting_users"),
        ("seconds", "seconds"),
        ("gpus", "gpus"),
        ("exit_code", "exit_code"),
    ):
        if summary.get(field) is not None:
            yield (name, ""), summary[field]
    for when in ("before", "after"):
        if summary.get(f"held_out_error_{when}") is not None:
            yield ("error_ratio", f'{{when="{when}"}}'), summary[f"held_out_error_{when}"]
    for stage, seconds in summary.get("stages", {}).items():
        yield ("stage_seconds", f'{{stage="{stage}"}}'), seconds
    yield ("end_timestamp_seconds", ""), ended_s
    if last_good_s is not None:
        yield ("last_good_timestamp_seconds", ""), last_good_s
