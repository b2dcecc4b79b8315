"""Users of a table who were erased from the store: no plan holds them, and their audio is not looked at."""

from dataclasses import replace

from ds2ray.naming import typed
from ds2ray.store.keys import user_key
from ds2ray.tables.users import Fleet
from ds2ray.upkeep.erasing import Tombstones


def without_erased(fleet: Fleet, tombstones: Tombstones) -> tuple[Fleet, int]:
    """The fleet without the users who were erased, and how many they are; without tombstones it costs nothing."""
    if not len(tombstones):
        return fleet, 0
    import pyarrow as pa

    rows = fleet.table.rows
    listed = rows["user_id"].to_pylist()
    key_of = {user_id: user_key(user_id) for user_id in [*(user.user_id for user in fleet.users), *listed]}
    erased = tombstones.erased(key_of.values())
    users = [user for user in fleet.users if key_of[user.user_id] not in erased]
    keep = [key_of[user_id] not in erased for user_id in listed]
    num_erased = len(fleet.users) - len(users) + keep.count(False)
    table = replace(fleet.table, rows=rows.filter(pa.array(keep, pa.bool_())))
    return replace(fleet, users=users, table=table), num_erased


def erased_note(num_erased: int) -> str:
    """The line of a plan about them: it names nobody."""
    whose = "1 user of the table was" if num_erased == 1 else f"{num_erased} users of the table were"
    return (
        f"{whose} erased from this store, and refused: take such rows out of the table, or allow them again with "
        f"`{typed('store')} erase <user> lift=true`"
    )
