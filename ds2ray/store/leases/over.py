"""Whether nobody holds the lease of a store any more."""

from ds2ray import display, storage
from ds2ray.store.layout import lease_uri
from ds2ray.store.leases.identity import Clocks, Identity, is_gone
from ds2ray.store.leases.record import TTL_S, Found, find_lease
from ds2ray.store.store import Store

POLL_S = 2.0
"""Seconds between two looks at a lease that is waited for."""

_MARGIN = 0.05  # of its time to live, that a lease is given beyond it …
_LEAST_MARGIN_S = 1.5  # … and at least so much, as servers tell times in whole seconds


def is_over(store: Store, found: Found, here: Identity, clocks: Clocks) -> bool:
    """Whether nobody holds the lease: it was given back, its holder has ended, or was silent for too long."""
    lease = found.lease
    if found.seen.data is None or (lease is not None and lease.released):
        return True
    if lease is not None and is_gone(lease.holder, here):
        return True
    ttl_s = lease.ttl_s if lease is not None else TTL_S
    limit_s = ttl_s + max(_LEAST_MARGIN_S, _MARGIN * ttl_s)
    if lease is not None and lease.boot and lease.boot == here.boot and lease.renewed_s:
        by_kernel_s = clocks.boot_s() - lease.renewed_s  # a wall clock that is set has no part in this
        if 0 <= by_kernel_s < limit_s:
            return False
    try:
        age_s = storage.age_s(lease_uri(store), store.server)
    except FileNotFoundError:
        return True
    return age_s >= limit_s if age_s is not None else _stays(store, found, limit_s, clocks)


def _stays(store: Store, found: Found, limit_s: float, clocks: Clocks) -> bool:
    """Whether the record stays the same for so long: nobody renews it."""
    until_s = clocks.boot_s() + limit_s
    while clocks.boot_s() < until_s:
        display.doing("waiting for the lease", "whether its holder renews it")
        clocks.sleep(min(POLL_S, max(0.0, until_s - clocks.boot_s())))
        if find_lease(lease_uri(store), store.server).seen.data != found.seen.data:
            return False
    return True
