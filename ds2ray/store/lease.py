"""The lease: one run at a time on a store.

The holder renews it; who has not done so for its time to live counts as dead, and who wants it then takes it, with the
next number. The clocks of machines have no part in that: age is told by the storage's own clock (by the kernel's, where
holder and reader share it), and a process of this machine that has ended holds nothing from then on.

Taking and renewing are conditional writes. Where the storage has none, whoever has written waits, and reads whether it
was the last to write: of many that come at once, the last has the lease.
"""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from ds2ray import display, storage
from ds2ray.errors import Ds2RayError, InterruptedRunError, StorageError
from ds2ray.progress import duration_text
from ds2ray.store.layout import lease_uri
from ds2ray.store.leases.fence import Fence, lost_text
from ds2ray.store.leases.identity import Clocks, Identity, this_process
from ds2ray.store.leases.over import POLL_S, is_over
from ds2ray.store.leases.record import TTL_S, Found, Lease, find_lease, lease_bytes, next_fence, refusal_text
from ds2ray.store.store import Store

__all__ = [
    "TTL_S",
    "Clocks",
    "Hold",
    "Lease",
    "acquire_lease",
    "break_lease",
    "held",
    "held_elsewhere",
    "kept",
    "read_lease",
    "release_lease",
    "renew_lease",
]

SETTLE_S, SHORT_SETTLE_S = 1.0, 0.2
"""Seconds after which a writer reads whether it was the last: without, and with conditional writes of a server, which
may not keep what it answered when it was tried. On this machine's own disks nobody waits."""

_MAX_ATTEMPTS = 20
_MAX_HASTY = 10
"""Attempts that are given up, with nothing written, where a look at the record takes long."""


def read_lease(store: Store) -> Lease | None:
    """The lease of a run that is at work on a store, or may be; None where there is none, or its record is damaged."""
    found = _find(store)
    return None if found.lease is None or is_over(store, found, this_process(), Clocks()) else found.lease


def acquire_lease(
    store: Store,
    run_id: str,
    *,
    wait_s: float | None = None,
    ttl_s: float = TTL_S,
    here: Identity | None = None,
    clocks: Clocks | None = None,
) -> Lease:
    """Take the store's lease.

    Args:
        wait_s: seconds for which a run that has it is waited for; None: those of the store.
        here, clocks: this process's own.

    Raises:
        InterruptedRunError: another run holds it.
    """
    here, clocks = here or this_process(), clocks or Clocks()
    until_s = clocks.boot_s() + (store.wait_for_lease_s if wait_s is None else wait_s)
    for attempt in range(_MAX_ATTEMPTS):
        found = _wait(store, here, clocks, until_s)
        new = Lease(
            run_id=run_id,
            token=secrets.token_hex(16),
            fence=next_fence(found, clocks.wall_s()),
            ttl_s=ttl_s,
            expires_s=clocks.wall_s() + ttl_s,
            renewed_s=clocks.boot_s(),
            boot=here.boot,
            namespace=here.namespace,
            process_id=here.process_id,
            process_started=here.started,
            host=here.host,
        )
        if _take(store, found, new, clocks, hasty=attempt < _MAX_HASTY):
            return new
    raise StorageError(f"{lease_uri(store)}: does not stay as it is written; look at who writes there, and run again")


def renew_lease(store: Store, lease: Lease, clocks: Clocks | None = None) -> Lease:
    """Extend the lease, for its time to live from now; returns it as it is then.

    One that has run out while the store did not answer is extended, too, unless another run has taken it over.

    Raises:
        InterruptedRunError: the lease is lost: another run has taken it over, or it was broken.
        StorageError: the store cannot be reached; the lease lasts until `lease.lasts_until_s`.
    """
    clocks = clocks or Clocks()
    for attempt in range(_MAX_ATTEMPTS):
        found = _find(store)  # for as long as the store does not answer
        _require_mine(found, lease)
        with suppress(_TooSlowError):
            return _renew(store, lease, found, clocks, hasty=attempt < _MAX_HASTY)
    raise StorageError(f"{lease_uri(store)}: cannot be written in time; look at the store, and run again")


def _renew(store: Store, lease: Lease, found: Found, clocks: Clocks, hasty: bool) -> Lease:
    """Write the lease, extended, over what was found; `hasty` is as in `_take`, whose error this raises."""
    began_s = clocks.boot_s()
    renewed = replace(lease, renewed_s=began_s, expires_s=clocks.wall_s() + lease.ttl_s)

    def last_look() -> None:
        now_s = clocks.boot_s()
        if hasty and now_s >= lease.lasts_until_s and now_s - began_s >= SETTLE_S / 2:
            raise _TooSlowError

    if not _write(store, renewed, found, last_look):
        _require_mine(_find(store), lease)
        raise StorageError(f"{lease_uri(store)}: does not stay as it is written; look at who writes there")
    now_s = clocks.boot_s()
    if (
        now_s >= lease.lasts_until_s
        and now_s - began_s >= 0.8 * SETTLE_S
        and not storage.honours_conditions(lease_uri(store), store.server)
    ):
        # another run may have taken it over between the look and the write, which hid that, and be sure of it
        raise InterruptedRunError(lost_text(lease.run_id, found))
    return renewed


def release_lease(store: Store, lease: Lease) -> None:
    """Give the lease back, unless another run has taken it over. Its number stays in the record."""
    found = _find(store)
    if found.is_held_by(lease.token):
        _write(store, replace(lease, released=True), found)


def break_lease(store: Store) -> Lease | None:
    """Take the lease away from the run that holds it, whether or not it lives; returns what it was, None without one.

    The run that had it writes nothing more once it sees that, within seconds.
    """
    found = _find(store)
    if found.seen.data is None or (found.lease is not None and found.lease.released):
        return None
    before = found.lease or Lease(run_id="", token="", host="", process_id=0, expires_s=0.0)
    number = next_fence(found, Clocks().wall_s())
    broken = replace(before, released=True, token=secrets.token_hex(16), fence=number)
    if not _write(store, broken, found):
        raise InterruptedRunError(f"the lease of {store} has changed at this moment; look again at who holds it")
    return before


def held_elsewhere(store: Store) -> str:
    """The id of the run that holds the lease, if it is another process's; else empty."""
    here, found = this_process(), _find(store)
    lease = found.lease
    if lease is None or lease.holder.is_same(here) or is_over(store, found, here, Clocks()):
        return ""
    return lease.run_id


class Hold:
    """A lease that this process holds. Called, it renews it; that has to happen more often than every `ttl_s`.

    Attributes:
        lease: as it was last renewed.
        store: the same store, on which nothing is written any more once the lease is lost.
    """

    def __init__(self, store: Store, lease: Lease) -> None:
        self.lease = lease
        self.fence = Fence(lease_uri(store), lease.fence, lease.token, lease.run_id, store.server)
        self.store = store.fenced(self.fence)

    def __call__(self) -> None:
        """Renew the lease; the errors are those of `renew_lease`."""
        self.lease = renew_lease(self.store, self.lease)

    @property
    def lasts_until_s(self) -> float:
        """When it ends without a renewal, by `boot_clock_s`."""
        return self.lease.lasts_until_s


@contextmanager
def held(store: Store, run_id: str, *, wait_s: float | None = None, ttl_s: float = TTL_S) -> Iterator[Hold]:
    """A context that holds the lease; its arguments and errors are those of `acquire_lease`."""
    hold = Hold(store, acquire_lease(store, run_id, wait_s=wait_s, ttl_s=ttl_s))
    try:
        yield hold
    finally:
        try:
            release_lease(store, hold.lease)
        except StorageError as error:
            display.say(f"the lease cannot be given back ({error}); it ends by itself in {duration_text(ttl_s)}")


@contextmanager
def kept(store: Store, run_id: str, *, wait_s: float | None = None, ttl_s: float = TTL_S) -> Iterator[Hold]:
    """As `held`, and a thread renews the lease: for work that cannot do so itself."""
    with held(store, run_id, wait_s=wait_s, ttl_s=ttl_s) as hold:
        renew, over = storage.bearing_outages(hold, ttl_s), threading.Event()

        def keep() -> None:
            try:
                while not over.wait(ttl_s / 4):
                    renew()
            except Ds2RayError as error:
                display.say(str(error))  # what is written from now on is held up by the fence

        thread = threading.Thread(target=keep, name="lease", daemon=True)
        thread.start()
        try:
            yield hold
        finally:
            over.set()
            thread.join()


def _find(store: Store) -> Found:
    return find_lease(lease_uri(store), store.server)


def _write(store: Store, lease: Lease, found: Found, last_look: Callable[[], None] = lambda: None) -> bool:
    """Write the lease where its record still is what was found; the fence, which reads it, has no part in that."""
    return storage.write_where_seen(lease_uri(store), lease_bytes(lease), found.seen, store.server, last_look)


def _wait(store: Store, here: Identity, clocks: Clocks, until_s: float) -> Found:
    """The record of the lease when nobody holds it any more. Raises InterruptedRunError where that takes too long."""
    while True:
        found = _find(store)
        if is_over(store, found, here, clocks):
            return found
        left_s = until_s - clocks.boot_s()
        if left_s <= 0:
            raise InterruptedRunError(refusal_text(lease_uri(store), found, clocks.wall_s()))
        run_id = found.lease.run_id if found.lease else "?"
        display.doing("waiting for the lease", f"run {run_id} has it", f"{duration_text(left_s)} at most")
        clocks.sleep(min(POLL_S, left_s))


class _TooSlowError(Ds2RayError):
    """The look at the record took so long that another may have written since."""


def _take(store: Store, found: Found, new: Lease, clocks: Clocks, hasty: bool) -> bool:
    """Write the lease over what was found, and see whether it stays.

    Args:
        hasty: whether nothing is written, and False returned, where that could only be believed after a long wait.
    """
    began_s, has_conditions = clocks.boot_s(), storage.honours_conditions(lease_uri(store), store.server)

    def last_look() -> None:
        if hasty and not has_conditions and clocks.boot_s() - began_s >= SETTLE_S / 4:
            raise _TooSlowError

    try:
        if not _write(store, new, found, last_look):
            return False
    except _TooSlowError:
        return False
    settle_s = 0.0 if storage.is_local(store.root_uri) else SHORT_SETTLE_S
    if not has_conditions:
        # who wrote long after looking may have hidden a lease that was taken meanwhile: its holder sees that when it
        # renews it, or ends
        settle_s = SETTLE_S if clocks.boot_s() - began_s < SETTLE_S / 2 else new.ttl_s
    if settle_s > SETTLE_S:
        why = "the store was slow to take it: whether another run has it shows by then"
        display.doing("waiting for the lease", why, duration_text(settle_s))
    clocks.sleep(settle_s)
    return _find(store).is_held_by(new.token)


def _require_mine(found: Found, lease: Lease) -> None:
    """Raise InterruptedRunError where the lease is lost."""
    if found.is_held_by(lease.token) or found.is_damaged:
        return  # what is damaged nobody has taken over: it is written anew
    if found.lease is not None and found.lease.fence < lease.fence:
        return  # an earlier holder has written late; it has lost its lease, and finds that out
    raise InterruptedRunError(lost_text(lease.run_id, found))
