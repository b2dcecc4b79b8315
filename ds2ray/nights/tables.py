"""Nights as tables for the terminal."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ds2ray.display.titles import titled
from ds2ray.nights.compared import Comparison
from ds2ray.nights.words import change, number, percent
from ds2ray.progress import duration_text
from ds2ray.store.outcomes import Status

if TYPE_CHECKING:
    from rich.console import RenderableType

MAX_NAMED = 10
"""Users of a kind that the terminal names; the page has more."""

_COUNTED = (Status.adapted, Status.kept_previous, Status.skipped_no_data, Status.failed)
_HEADINGS = ("ended", "users", "adapted", "kept", "skipped", "failed", "error", "→", "time", "code")


def runs_table(runs: Sequence[tuple[str, float, "dict[str, Any] | str"]], width: int) -> "RenderableType":
    """Runs, the newest first: each by its id, the time of its last file (seconds since 1970), and its summary, or why
    there is none."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"runs, the newest first ({len(runs)})", title_justify="left")
    table.add_column("run", overflow="fold")
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading == "ended" else "right")
    for run_id, last_s, summary in runs:
        ended = time.strftime("%Y-%m-%d %H:%M", time.gmtime(last_s)) if last_s else "–"
        if isinstance(summary, str):
            table.add_row(Text(run_id), ended, Text(summary))
            continue
        statuses = summary.get("statuses") or {}
        table.add_row(
            Text(run_id),
            ended,
            number(summary.get("users")),
            *(number(statuses.get(status.value)) for status in _COUNTED),
            percent(summary.get("held_out_error_before")),
            percent(summary.get("held_out_error_after")),
            duration_text(summary["seconds"]) if "seconds" in summary else "–",
            str(summary.get("exit_code", "–")),
        )
    return table


def compared_table(comparison: Comparison, name: Callable[[str], str], width: int) -> "RenderableType":
    """A run beside the one that it is compared with, and below it who is new or gone, causes, and errors that rose.

    Args:
        name: how a user is named, by key.
    """
    from rich.table import Table
    from rich.text import Text

    before = comparison.before
    table = Table()
    table.add_column("")
    for heading in (before.run_id if before else "no run before", comparison.night.run_id, "change"):
        table.add_column(Text(heading), justify="right", overflow="fold")
    for count in comparison.counts:
        table.add_row(count.label, number(count.before), number(count.now), change(count.change))
    for rate in comparison.rates:
        shown = percent(rate.before), percent(rate.now), change(rate.change, points=True)
        table.add_row(f"held-out error, {rate.label}", *shown)
    return titled(f"run {comparison.night.run_id}", table, *map(Text, _lines(comparison, name)))


def _lines(comparison: Comparison, name: Callable[[str], str]) -> list[str]:
    lines = [
        f"{heading}: {_named(list(map(name, keys)))}"
        for heading, keys in (("new", comparison.new), ("gone", comparison.gone))
        if keys
    ]
    for cause in comparison.causes:
        lines.append(f"{cause.status.value}: {cause.count} × {cause.text}. {cause.remedy}")
    risen = [
        f"{name(user.user_key)} {percent(user.error_before)} → {percent(user.error_now)}"
        for user in comparison.regressions
    ]
    if comparison.canary:
        lines.append(f"canary {'held' if comparison.canary.held else 'failed'}: {comparison.canary.text()}")
    lines += [f"errors rose: {_named(risen)}"] if risen else []
    for setting, (was, is_now) in comparison.changed_settings.items():
        lines.append(f"setting changed: {setting}: {was} → {is_now}")
    return lines


def _named(items: Sequence[str]) -> str:
    more = f" … and {len(items) - MAX_NAMED} more" if len(items) > MAX_NAMED else ""
    return ", ".join(items[:MAX_NAMED]) + more
