"""The verbs of a store: history, rollback, erase, gc, fsck, stats, unlock, export of a user. Neither torch nor Ray.

Each may be killed anywhere and is run again; what changes anything holds the store's lease.
"""

from ds2ray.upkeep.checks import Checkup, Fault, Kind, fsck
from ds2ray.upkeep.collecting import Collected, gc
from ds2ray.upkeep.erasing import Erased, Receipt, erase, lift
from ds2ray.upkeep.exporting import Exported, export_user
from ds2ray.upkeep.figures import Figures, stats
from ds2ray.upkeep.history import Version, last_pointer, versions
from ds2ray.upkeep.moves import Move, Moved, RolledBack
from ds2ray.upkeep.rolling_back import rollback_run, rollback_users
from ds2ray.upkeep.unlocking import Unlocked, unlock
from ds2ray.upkeep.whom import keys_of, read_user_list, wanted_users

__all__ = [
    "Checkup",
    "Collected",
    "Erased",
    "Exported",
    "Fault",
    "Figures",
    "Kind",
    "Move",
    "Moved",
    "Receipt",
    "RolledBack",
    "Unlocked",
    "Version",
    "erase",
    "export_user",
    "fsck",
    "gc",
    "keys_of",
    "last_pointer",
    "lift",
    "read_user_list",
    "rollback_run",
    "rollback_users",
    "stats",
    "unlock",
    "versions",
    "wanted_users",
]
