"""The fence of a run: what it holds before every write, so that a run that has lost its lease writes nothing more."""

import math
from dataclasses import dataclass, field

from ds2ray.errors import InterruptedRunError
from ds2ray.storage import Server
from ds2ray.store.leases.identity import boot_clock_s
from ds2ray.store.leases.record import Found, find_lease

FRESH_S = 1.0
"""Seconds for which a process relies on having seen that its run holds the lease."""

_seen_s: dict["Fence", float] = {}
"""When this process last saw that a run holds its lease, by the clock of its boot."""


class LateWriteError(InterruptedRunError):
    """A write took so long that the run had lost its lease when it was done: it may have hidden a newer one."""


@dataclass(frozen=True)
class Fence:
    """The acquisition of a lease, for all processes of the run that holds it: small, and the same in each.

    Attributes:
        number: greater than that of every acquisition before.
        token: random, in the record of the lease as long as nobody else has it.
    """

    lease_uri: str
    number: int
    token: str
    run_id: str
    server: Server = field(default_factory=Server)

    def require(self, now: bool = False) -> None:
        """Raise InterruptedRunError where the run has lost its lease.

        Args:
            now: look, though this process may have looked a moment ago.
        """
        now_s = boot_clock_s()
        if not now and now_s - _seen_s.get(self, -math.inf) < FRESH_S:
            return
        found = find_lease(self.lease_uri, self.server)
        if not found.is_held_by(self.token):
            _seen_s.pop(self, None)
            raise InterruptedRunError(lost_text(self.run_id, found))
        _seen_s[self] = now_s


def lost_text(run_id: str, found: Found) -> str:
    """That a run has lost its lease, and to whom."""
    other = found.lease
    if other is None:
        why = "its record is damaged" if found.is_damaged else "its record was deleted"
    elif other.released:
        why = "it was broken or given back"
    else:
        why = f"run {other.run_id} on {other.host} (process {other.process_id}) has it"
    return (
        f"run {run_id} has lost the lease of this store ({why}): it was stopped for too long, or could not reach the "
        "store; it writes nothing more. What it had published stays; run again"
    )
