"""unlock: the lease is taken from a run that is gone, knowingly."""

from dataclasses import dataclass

from ds2ray.errors import InterruptedRunError
from ds2ray.naming import typed
from ds2ray.store import Store, lease


@dataclass(frozen=True)
class Unlocked:
    """Whose lease there was.

    Attributes:
        run_id: empty: nobody's, or one that cannot be read.
        was_live: whether the run may have been alive.
    """

    found: bool
    run_id: str = ""
    was_live: bool = False


def unlock(store: Store, run_id: str = "", *, dry_run: bool = False) -> Unlocked:
    """Break the store's lease. The run that held it, if it lives, writes nothing more once it sees that, and stops.

    Args:
        run_id: of the run whose lease is to go though it may be alive; not needed for a run that is dead.

    Raises:
        InterruptedRunError: a run that may be alive holds it, and another one, or none, is named.
    """
    holder = lease.held_elsewhere(store)
    if holder and run_id != holder:
        raise InterruptedRunError(
            f"run {holder} holds the lease, and renews it as long as it lives: look whether it is gone, and then type "
            f"`{typed('store')} unlock run={holder}`"
        )
    if dry_run:
        found = lease.read_lease(store)
        return Unlocked(found is not None and not found.released, found.run_id if found else "", bool(holder))
    broken = lease.break_lease(store)
    return Unlocked(broken is not None, broken.run_id if broken else "", bool(holder))
