"""The users whom a run is about: all, those that `adapt.only` names, or those of one outcome in the last run."""

import difflib
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from ds2ray import storage
from ds2ray.config import AdaptConfig, Retry
from ds2ray.errors import InputError
from ds2ray.store import Store
from ds2ray.store.keys import user_key
from ds2ray.store.outcomes import Status, read_outcomes
from ds2ray.tables.users import Fleet
from ds2ray.upkeep.runs import LAST_RUN, known_run
from ds2ray.upkeep.whom import read_user_list

STATUS_OF = {
    Retry.failed: Status.failed,
    Retry.skipped: Status.skipped_no_data,
    Retry.kept: Status.kept_previous,
}
FILE = "@"
"""What stands before the address of a list of users."""

_GLOB = set("*?[")
_MAX_SHOWN = 5


def chosen_users(fleet: Fleet, adapt: AdaptConfig, store: Store) -> tuple[Fleet, AdaptConfig, list[str]]:
    """The fleet without the users whom the run is not about, its settings, and lines on that for the plan.

    Users of an outcome in the last run are trained whether anything has changed or not.

    Raises:
        InputError: `adapt.only` names nobody of the table, its list is missing, or the store has no run yet.
    """
    if not adapt.only and adapt.retry is Retry.none:
        return fleet, adapt, []
    notes = []
    if adapt.only:
        listed = _ids(fleet)
        wanted, unknown = named_users(adapt.only, listed)
        fleet = _those(fleet, wanted.__contains__)
        notes.append(f"adapt.only={adapt.only}: {len(wanted)} of {len(listed)} users")
        if unknown:
            notes.append(f"of its list {len(unknown)} are not in the table: {_some(unknown)}")
    if adapt.retry is not Retry.none:
        run_id, keys = users_of_outcome(store, STATUS_OF[adapt.retry])
        fleet = _those(fleet, lambda user_id: user_key(user_id) in keys)
        notes.append(f"adapt.retry={adapt.retry.value}: {len(_ids(fleet))} users, by run {run_id}")
        adapt = replace(adapt, force=True)
    return fleet, adapt, notes


def named_users(only: str, listed: Sequence[str]) -> tuple[set[str], list[str]]:
    """The users of a table whom `adapt.only` names, and the ids of its list that the table does not have.

    Args:
        only: an id, a pattern with `*`, `?` or `[…]`, or `@` and the URI of a list.
        listed: the ids of the table.
    """
    known = set(listed)
    if only.startswith(FILE) and only not in known:
        wanted = read_user_list(storage.absolute(only.removeprefix(FILE)))
        found, unknown = known.intersection(wanted), [user_id for user_id in wanted if user_id not in known]
    elif only in known or not _GLOB & set(only):
        found, unknown = known & {only}, []
    else:
        found, unknown = {user_id for user_id in known if fnmatchcase(user_id, only)}, []
    if not found:
        close = difflib.get_close_matches(only, listed, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise InputError(f"adapt.only={only}: the table has no such user{hint}; an id, a pattern or @LIST is wanted")
    return found, unknown


def users_of_outcome(store: Store, status: Status) -> tuple[str, set[str]]:
    """The newest run, and the keys of its users with this outcome. Raises InputError where there is no run."""
    run_id = known_run(store, LAST_RUN)
    rows = read_outcomes(store, run_id, with_unchanged=False)
    return run_id, {row.user_key for row in rows if row.status is status}


def _ids(fleet: Fleet) -> list[str]:
    return [*(user.user_id for user in fleet.users), *fleet.table.rows["user_id"].to_pylist()]


def _those(fleet: Fleet, wanted: Callable[[str], bool]) -> Fleet:
    """The fleet with these users only."""
    import pyarrow as pa

    rows = fleet.table.rows
    keep = pa.array([wanted(user_id) for user_id in rows["user_id"].to_pylist()], pa.bool_())
    users = [user for user in fleet.users if wanted(user.user_id)]
    return replace(fleet, users=users, table=replace(fleet.table, rows=rows.filter(keep)))


def _some(user_ids: Collection[str]) -> str:
    more = f" and {len(user_ids) - _MAX_SHOWN} more" if len(user_ids) > _MAX_SHOWN else ""
    return ", ".join(list(user_ids)[:_MAX_SHOWN]) + more
