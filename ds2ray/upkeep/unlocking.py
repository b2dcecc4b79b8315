"""unlock: the lease is taken from a run that is gone, knowingly."""

import time
from dataclasses import dataclass

from ds2ray.errors import ArtifactCorruptError, InterruptedRunError
from ds2ray.naming import typed
from ds2ray.store import Store, lease
from ds2ray.store.layout import lease_uri


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
    """Delete the store's lease. The run that held it, if it lives, is refused when it renews the lease, and stops.

    Args:
        run_id: of the run whose lease is to go though it seems alive; not needed for a run that is dead.

    Raises:
        InterruptedRunError: a run that seems alive holds it, and another one, or none, is named.
    """
    try:
        document = store.read_json(lease_uri(store))
        holder = str(document["run_id"])
    except FileNotFoundError:
        return Unlocked(False)
    except (ArtifactCorruptError, KeyError, TypeError):
        holder = ""
    live = bool(holder) and lease.held_elsewhere(store) == holder
    if live and run_id != holder:
        until = time.strftime("%H:%M:%S", time.localtime(float(document["expires_s"])))
        raise InterruptedRunError(
            f"run {holder} holds the lease until {until}, and renews it as long as it lives: look whether it is gone, "
            f"and then type `{typed('store')} unlock run={holder}`"
        )
    if not dry_run:
        store.delete(lease_uri(store))
    return Unlocked(True, holder, live)
