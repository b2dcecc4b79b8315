"""The verbs of a store: history, rollback, erase, gc, fsck, stats, export of a user. Neither torch nor Ray.

Each may be killed anywhere and is run again; what changes anything holds the store's lease.
"""

from ds2ray.upkeep.history import Version, last_pointer, versions
from ds2ray.upkeep.moves import Move, Moved, RolledBack
from ds2ray.upkeep.rolling_back import rollback_run, rollback_users
from ds2ray.upkeep.whom import keys_of, read_user_list, wanted_users

__all__ = [
    "Move",
    "Moved",
    "RolledBack",
    "Version",
    "keys_of",
    "last_pointer",
    "read_user_list",
    "rollback_run",
    "rollback_users",
    "versions",
    "wanted_users",
]
