"""The end of a fleet run: its page, the lines that it prints, and the summary that a lost store does not take."""

import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ds2ray import display, storage
from ds2ray.config import AdaptJob
from ds2ray.display.kept import KeptLines
from ds2ray.fleet.plan import Plan, plan_table
from ds2ray.fleet.report import outcome_table, unchanged_text
from ds2ray.nights.compared import compared
from ds2ray.nights.making import settings_of, versions
from ds2ray.nights.night import Night, nights_before, read_last_run, write_last_run
from ds2ray.nights.page import page
from ds2ray.nights.spent import Spent
from ds2ray.progress import duration_text
from ds2ray.store import Store
from ds2ray.store.keys import private
from ds2ray.store.layout import log_uri, report_uri
from ds2ray.store.outcomes import Outcome


def told_of(job: AdaptJob, spent: Spent, ended: str) -> dict[str, Any]:
    """The fields of summary.json for the report: when it ended, what it spent, and what it was made with."""
    return {"ended": ended, **spent.document(), "settings": settings_of(job), "versions": versions()}


def previous_run(store: Store) -> dict[str, str]:
    """The field of summary.json that names the run before."""
    return {"previous": _or_nothing("it is not known which run was the last", lambda: read_last_run(store.hurried()))}


def write_report(job: AdaptJob, store: Store, summary: dict[str, Any], plan: Plan, rows: Sequence[Outcome]) -> None:
    """Write the run's page, and make it the last run. A failure of it is told, and does not fail the run."""

    def write() -> str:
        if job.report.page:
            night = Night(summary, plan_table(plan), tuple(rows))
            most = job.report.num_nights if rows else 1  # of a night without changes the one before is enough
            earlier = list(nights_before(place, str(summary.get("previous") or ""), most))
            text = page(compared(night, earlier), job.report)
            place.write_bytes(report_uri(place, night.run_id), text.encode())
        write_last_run(place, str(summary["run_id"]))
        return ""

    place = store.hurried()
    _or_nothing("no report of this run was written", write)


def write_log(job: AdaptJob, store: Store, run_id: str, lines: KeptLines, stopped: BaseException | None) -> None:
    """Write what the run has printed beside its outcomes. A failure of it is told, and does not fail the run.

    Args:
        stopped: why it did not come to its end.
    """

    def write() -> str:
        if stopped is not None:
            lines.add(f"stopped: {type(stopped).__name__}: {stopped}")
        place.write_bytes(log_uri(place, run_id), private(lines.text()).encode())
        return ""

    place = store.hurried()
    if job.report.log:
        _or_nothing("no log of this run was written", write)


def _or_nothing(without: str, work: Callable[[], str]) -> str:
    """What `work` returns; where it fails, nothing, and a line that says so."""
    try:
        return work()
    except Exception as error:
        display.say(f"{without}, as {type(error).__name__}: {error}")
        return ""


def keep_summary_here(run_id: str, summary: dict[str, Any]) -> None:
    """Keep the summary of a run on this machine, as the store cannot be written to."""
    path = os.path.join(tempfile.gettempdir(), f"ds2ray-{run_id.replace('/', '-')}-summary.json")
    storage.write_json(path, summary)
    display.say(f"the store does not take the summary, which is kept in {path}; the next run goes on from what is done")


def print_outcomes(rows: Sequence[Outcome], plan: Plan, run_folder: str, seconds: float, begun: bool = True) -> None:
    """Show what became of the users, and where the run's folder lies.

    Args:
        begun: whether anything was done: not where a canary ended the run.
    """
    if rows:
        display.show(partial(outcome_table, rows))
    elif not plan.users:
        display.say(f"all {plan.num_users} users unchanged: nothing to do ({unchanged_text(plan)})")
    if not begun:
        display.say(f"stopped by the canary after {duration_text(seconds)}, nothing was changed: {run_folder}")
        return
    left = len(plan.users) - len(rows)
    word = f"stopped with {left} of {plan.num_users} users to do, run again;" if left else "done in"
    display.say(f"{word} {duration_text(seconds)}: {run_folder}")
