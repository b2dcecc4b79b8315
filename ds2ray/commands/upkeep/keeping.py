"""`store gc`, `fsck`, `stats` and `unlock`: what is said of the store as a whole."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from ds2ray import display
from ds2ray.config import StoreJob
from ds2ray.display.titles import titled
from ds2ray.errors import ConfigError
from ds2ray.fleet.report import COMPLETE
from ds2ray.naming import typed
from ds2ray.progress import Tell, size_text, untold
from ds2ray.store import Store
from ds2ray.upkeep.checks import Checkup, Kind, fsck
from ds2ray.upkeep.collecting import Collected, gc
from ds2ray.upkeep.figures import Figures, stats
from ds2ray.upkeep.unlocking import unlock

if TYPE_CHECKING:
    from rich.console import RenderableType

SOMETHING_WRONG = 4
"""The exit code of a verb that found something wrong with a store, and left it so."""

_MAX_SHOWN = 40


def collect(job: StoreJob, store: Store, users: list[str]) -> int:
    """Delete what nothing names, where `yes` says so; else tell what would be deleted."""
    _refuse_users(users, "gc")
    done = gc(
        store,
        keep_runs=job.keep_runs,
        keep_versions=job.keep_versions,
        older_than_days=job.older_than_days,
        folders=job.folders,
        dry_run=job.dry_run or not job.yes,
        tell=_tell(job, "collecting"),
    )
    if job.json:
        display.page(json.dumps(asdict(done), indent=2))
    else:
        _say_collected(done)
    return COMPLETE


def _tell(job: StoreJob, phase: str) -> Tell:
    return untold if job.json else display.telling(phase)


def _refuse_users(users: list[str], verb: str) -> None:
    if users:
        raise ConfigError(f"{verb} is about the whole store, and {users[0]!r} is named: leave it out")


def _say_collected(done: Collected) -> None:
    verb = "would be deleted" if done.dry_run else "deleted"
    total = sum(done.size_bytes.values())
    display.say(f"{sum(done.objects.values())} objects {verb}, {size_text(total)}")
    for kind, count in done.objects.items():
        named = f": {', '.join(done.runs[:5])}{' …' if len(done.runs) > 5 else ''}" if kind == "runs" else ""
        display.say(f"  {kind}: {count} objects, {size_text(done.size_bytes[kind])}{named}")
    if done.histories_cut:
        display.say(f"  histories cut to keep_versions: {done.histories_cut}")
    for line in done.left[:_MAX_SHOWN]:
        display.say(f"  left alone: {line}")
    if done.dry_run and done.objects:
        display.say(f"nothing is deleted without --yes: {typed('store')} gc --yes")


def check(job: StoreJob, store: Store, users: list[str]) -> int:
    """Check the store, and mend it where that is wanted; 4 where something is wrong, and is left so."""
    _refuse_users(users, "fsck")
    found = fsck(store, check=job.check, mend=job.mend, dry_run=job.dry_run, tell=_tell(job, "checking"))
    if job.json:
        faults = [asdict(fault) | {"kind": fault.kind.value} for fault in found.faults]
        display.page(json.dumps(asdict(found) | {"faults": faults, "wrong": len(found.wrong)}, indent=2))
    else:
        _say_checked(found, job)
    return SOMETHING_WRONG if found.wrong else COMPLETE


def _say_checked(found: Checkup, job: StoreJob) -> None:
    display.say(f"{found.users} users checked, {size_text(found.size_bytes)} of weights and words read")
    for kind in Kind:
        faults = [fault for fault in found.faults if fault.kind is kind]
        if not faults:
            continue
        display.say(f"  {kind.value}: {len(faults)}")
        for fault in faults[:_MAX_SHOWN]:
            display.say(f"    {fault.where}: {fault.what}" + (f" → {fault.mended}" if fault.mended else ""))
        if len(faults) > _MAX_SHOWN:
            display.say(f"    … and {len(faults) - _MAX_SHOWN} more; json=true lists all")
    if not found.wrong:
        display.say("nothing is wrong")
    elif not job.mend:
        display.say(f"{len(found.wrong)} faults: `{typed('store')} fsck mend=true` mends what needs no guess")
    else:
        display.say(f"{len(found.wrong)} faults are left that need a decision, or a backup")


def count(job: StoreJob, store: Store, users: list[str]) -> int:
    """Show what the store holds."""
    _refuse_users(users, "stats")
    figures = stats(store, deep=job.deep, tell=_tell(job, "counting"))
    if job.json:
        display.page(json.dumps(vars(figures), indent=2))
    else:
        display.show(lambda width: _figures_table(figures))
    return COMPLETE


def _figures_table(figures: Figures) -> "RenderableType":
    from rich.table import Table

    table = Table(show_header=False)
    table.add_column("what")
    table.add_column("how many", justify="right")
    table.add_column("bytes", justify="right")
    table.add_row("users", f"{figures.users:,}", "")
    table.add_row("  with an adapter", f"{figures.adapters:,}", "")
    table.add_row("  with own words", f"{figures.users_with_words:,}", "")
    _add_section(table, "the index, by status", figures.statuses, {})
    _add_section(table, "adapters, by base", figures.adapters_by_base, {})
    table.add_row("runs", f"{figures.runs:,}", "")
    table.add_row("versions of adapters", f"{figures.versions:,}", "")
    _add_section(table, "objects", figures.objects, figures.size_bytes)
    _add_section(table, "bases", dict.fromkeys(figures.bases, 1), figures.bases)
    for name, seconds in (("oldest object", figures.oldest_s), ("newest object", figures.newest_s)):
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else "not known"
        table.add_row(name, when, "")
    return titled(figures.store, table)


def _add_section(table: "object", title: str, counts: Mapping[str, int], sizes: Mapping[str, int]) -> None:
    from rich.table import Table

    assert isinstance(table, Table)
    if counts:
        total = size_text(sum(sizes.values())) if sizes else ""
        table.add_row(title, f"{sum(counts.values()):,}", total)
    for name, number in counts.items():
        table.add_row(f"  {name}", f"{number:,}", size_text(sizes[name]) if name in sizes else "")


def take_lease(job: StoreJob, store: Store, users: list[str]) -> int:
    """Take the lease from a run that is gone."""
    _refuse_users(users, "unlock")
    done = unlock(store, job.run, dry_run=job.dry_run)
    would = "would be taken" if job.dry_run else "is taken"
    if not done.found:
        display.say("nobody holds the lease")
    else:
        whose = f"run {done.run_id}" if done.run_id else "a run that cannot be read"
        state = "which seemed alive: if it is, it stops" if done.was_live else "which is dead"
        display.say(f"the lease {would} from {whose}, {state}")
    return COMPLETE
