"""`store history` and `store rollback`: versions of users, and the way back."""

import json
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from ds2ray import display
from ds2ray.config import StoreJob
from ds2ray.errors import ConfigError
from ds2ray.fleet.report import COMPLETE, TOO_MANY_FAILED
from ds2ray.naming import typed
from ds2ray.progress import untold
from ds2ray.store import Store, shown_user
from ds2ray.upkeep import Moved, RolledBack, Version, rollback_run, rollback_users, versions, wanted_users
from ds2ray.upkeep.runs import known_run

if TYPE_CHECKING:
    from rich.console import RenderableType

_MAX_SHOWN = 20


def history(job: StoreJob, store: Store, users: list[str]) -> int:
    """Show the versions of each user; 3 where one of them never had an adapter."""
    wanted = users_of(job, users, "history")
    found = {user: versions(store, key) for key, user in wanted.items()}
    if job.json:
        display.page(json.dumps({user: list(map(asdict, listed)) for user, listed in found.items()}, indent=2))
    else:
        for user, listed in found.items():
            _show_history(user, listed)
    return COMPLETE if all(found.values()) else TOO_MANY_FAILED


def users_of(job: StoreJob, users: list[str], verb: str) -> dict[str, str]:
    """User ids by key, of those that are named. Raises ConfigError where nobody is."""
    if not users and not job.users:
        raise ConfigError(f"who? `{typed('store')} {verb} alice`, or users=list.csv")
    return wanted_users(users, job.users)


def _show_history(user: str, listed: list[Version]) -> None:
    if not listed:
        display.say(f"user {user}: no adapter was ever published here; the base alone is used")
        return
    display.show(partial(_history_table, user, listed))
    if not any(version.is_current for version in listed):
        display.say(f"user {user} went back to the base; `{typed('store')} rollback {user} version=…` takes one again")


def _history_table(user: str, listed: list[Version], width: int) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(f"versions of {user}, newest first"), title_justify="left")
    for name in ("seq", "version", "run", "base", "error before", "after", "KB", ""):
        table.add_column(name, justify="right" if name in ("seq", "error before", "after", "KB") else "left")
    for version in listed:
        state = "current" if version.is_current else ""
        table.add_row(
            str(version.seq),
            version.version,
            Text(version.run_id),
            version.base_id,
            _percent(version.error_before),
            _percent(version.error_after),
            f"{version.size_bytes / 1000:.0f}",
            f"{state}, by rollback" if version.is_current and version.restored else state,
        )
    return table


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.1f} %"


def roll_back(job: StoreJob, store: Store, users: list[str]) -> int:
    """Take publications back; 3 where a user could not be moved.

    Raises:
        ConfigError: users and a run are named, or neither.
    """
    if bool(users or job.users) == bool(job.run):
        raise ConfigError(
            f"name users, `{typed('store')} rollback alice`, or users=list.csv, or else the run that was bad, run=… "
            "(run=last is the newest)"
        )
    if job.run and job.version:
        raise ConfigError("version= is for one user; with run= everybody goes to the version before")
    tell = untold if job.json else display.telling("rolling back")
    if job.run:
        run_id = known_run(store, job.run)
        done = rollback_run(store, run_id, retrain=job.retrain, dry_run=job.dry_run, tell=tell)
        title = f"run {run_id}"
    else:
        wanted = users_of(job, users, "rollback")
        done = rollback_users(
            store, list(wanted), version=job.version, retrain=job.retrain, dry_run=job.dry_run, tell=tell
        )
        title = f"{len(wanted)} users" if len(wanted) != 1 else f"user {next(iter(wanted.values()))}"
    if job.json:
        display.page(json.dumps([asdict(move) | {"moved": move.moved.name} for move in done.moves], indent=2))
    else:
        _tell(done, title, job)
    return TOO_MANY_FAILED if done.count(Moved.damaged) else COMPLETE


def _tell(done: RolledBack, title: str, job: StoreJob) -> None:
    if done.finished:
        whose = "this rollback" if done.was_interrupted else "an earlier rollback"
        display.say(f"{whose} had been interrupted: it is finished now, {done.finished} users")
    if done.was_interrupted:
        return
    would = "would be done; nothing is written" if job.dry_run else "done"
    display.say(f"rollback of {title}: {would}")
    for kind in Moved:
        moves = [move for move in done.moves if move.moved is kind]
        if not moves:
            continue
        display.say(f"  {len(moves)} users: each {kind.value}")
        for move in moves[:_MAX_SHOWN]:
            way = f"{move.version or 'the base'} → {move.target or 'the base'}" if move.moves else move.reason
            display.say(f"    {shown_user(move.user_key)}: {way}")
        if len(moves) > _MAX_SHOWN:
            display.say(f"    … and {len(moves) - _MAX_SHOWN} more; json=true lists all")
    if any(move.moves for move in done.moves):
        again = "trains them again, even from the same speech" if job.retrain else _UNTIL_CHANGED
        display.say(f"  the next night {again}")


_UNTIL_CHANGED = "leaves them as they are while speech, base and settings stay the same (retrain=true: trains them)"
