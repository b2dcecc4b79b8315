"""The result of a sweep in words: a table for the terminal and for Markdown, and what follows from it."""

from collections.abc import Sequence

from rich.table import Table

from ds2ray.config import ErrorMetric
from ds2ray.fleet.sweep.choice import LEAST_USERS, Decision, Judged
from ds2ray.fleet.sweep.points import named, shown
from ds2ray.progress import duration_text, size_text

TITLE = "held-out error by adapter, best first"
MAX_SHOWN = 30
"""Trials in the table of a terminal; the files have all."""
MAX_NAMED = 8
"""Trials that are named in one sentence."""


def head_of(names: Sequence[str], metric: ErrorMetric) -> list[str]:
    """The headings of the table: the settings that the sweep has varied, and what was measured."""
    columns = [name.partition(".")[2].replace("_", " ") for name in names] or ["trial"]
    name = metric.name.upper()
    return [*columns, "size", "a user", "loss", f"{name} base", name, "95 %", "worse", ""]


def cells_of(one: Judged, names: Sequence[str], metric: ErrorMetric, chosen: Judged | None) -> list[str]:
    """The cells of a trial, below `head_of`."""
    result = one.result
    settings = [shown(result.settings[name]) if name in result.settings else "" for name in names]
    settings = settings or ["as configured"]
    if result.reason:
        return [*settings, *[""] * 7, f"failed: {result.reason}"]
    within = f"{100 * one.within.low:.1f}-{100 * one.within.high:.1f}" if one.within else ""
    worse = f"{one.num_worse(metric)}/{len(result.users)}"
    marks = [
        "best" if one is chosen else "",
        "stopped" if not one.trial.is_whole else "the same" if one.same and one is not chosen else "",
        f"{one.num_failed} failed" if one.num_failed else "",
    ]
    return [
        *settings,
        size_text(result.size_bytes),
        f"{result.seconds_per_user:.1f} s",
        f"{result.loss:.3f}",
        f"{one.error_before:.1%}",
        f"{one.error:.1%}",
        within,
        worse,
        ", ".join(filter(None, marks)),
    ]


def table_of(decision: Decision, names: Sequence[str], metric: ErrorMetric) -> Table:
    """The table for a terminal."""
    table = Table(title=TITLE)
    for heading in head_of(names, metric):
        table.add_column(heading, justify="left" if not heading else "right")
    shown_trials = all_of(decision)[:MAX_SHOWN]
    for one in shown_trials:
        table.add_row(*cells_of(one, names, metric, decision.chosen))
    return table


def all_of(decision: Decision) -> list[Judged]:
    """All trials, best first, failed ones last."""
    return [*decision.ranked, *decision.stopped, *decision.failed]


def conclusions(decision: Decision, names: Sequence[str], metric: ErrorMetric, num_users: int) -> list[str]:
    """What the table shows, in sentences."""
    if not decision.ranked:
        return []
    best = decision.ranked[0]
    lines = []
    others = [one for one in decision.same if one is not best]
    if num_users < LEAST_USERS:
        lines.append("one user: what is chance cannot be told; give sweep.num_users more")
    elif others:
        count = len(others) + 1
        which = "; ".join(named(one.result.settings, names) for one in [best, *others][:MAX_NAMED])
        lines.append(f"these {count} are the same, but for chance: {which}{' …' if count > MAX_NAMED else ''}")
        small = min(decision.same, key=lambda one: one.result.size_bytes)
        fast = min(decision.same, key=lambda one: one.result.seconds)
        lines.append(f"the smallest of them: {_priced(small, names)}; the fastest: {_priced(fast, names)}")
    elif len(decision.ranked) > 1:
        lines.append(f"the best is so beyond chance: {named(best.result.settings, names)}")
    if decision.failed:
        lines.append(f"{len(decision.failed)} trials failed, and are run again the next time")
    return lines


def _priced(one: Judged, names: Sequence[str]) -> str:
    seconds = one.result.seconds_per_user
    time = f"{seconds:.1f} s" if seconds < 60 else duration_text(seconds)
    return f"{named(one.result.settings, names)} ({size_text(one.result.size_bytes)}, {time} a user)"
