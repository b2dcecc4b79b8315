"""The lease: one run at a time on a store.

It keeps two nightly runs from doing the same work twice. Published adapters do not depend on it: pointers and versions
stay whole even when two runs write them.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from ds2ray.errors import ArtifactCorruptError, InterruptedRunError
from ds2ray.store.layout import lease_uri
from ds2ray.store.store import Store

TTL_S = 120.0
"""Seconds without a renewal after which the holder of a lease is taken for dead."""


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The lease as it is stored. `expires_s` is in seconds since 1970; the token tells runs of the same id apart."""

    run_id: str
    token: str
    host: str
    process_id: int
    expires_s: float


def acquire_lease(store: Store, run_id: str, now_s: float, ttl_s: float = TTL_S) -> Lease:
    """Take the store's lease. Raises InterruptedRunError where another run holds it."""
    _refuse_other(_read(store), now_s, token="")
    lease = Lease(
        run_id=run_id,
        token=secrets.token_hex(8),
        host=socket.gethostname(),
        process_id=os.getpid(),
        expires_s=now_s + ttl_s,
    )
    store.write_json(lease_uri(store), asdict(lease))
    _refuse_other(_read(store), now_s, lease.token)  # of two that write at once, the one that wrote last has the lease
    return lease


def renew_lease(store: Store, lease: Lease, now_s: float, ttl_s: float = TTL_S) -> Lease:
    """Extend the lease. Raises InterruptedRunError where another run has taken it over meanwhile."""
    _refuse_other(_read(store), now_s, lease.token)
    renewed = replace(lease, expires_s=now_s + ttl_s)
    store.write_json(lease_uri(store), asdict(renewed))
    return renewed


def release_lease(store: Store, lease: Lease) -> None:
    """Give the lease back, unless another run has taken it over."""
    current = _read(store)
    if current is not None and current.token == lease.token:
        store.delete(lease_uri(store))


def held_elsewhere(store: Store) -> str:
    """The id of the run that holds the lease, if it is another process's; else empty."""
    lease = _read(store)
    ours = lease is not None and (lease.host, lease.process_id) == (socket.gethostname(), os.getpid())
    return "" if lease is None or ours or not _is_live(lease, time.time()) else lease.run_id


@contextmanager
def held(store: Store, run_id: str) -> Iterator[Callable[[], None]]:
    """A context that holds the lease; yields the function that renews it, to be called more often than every TTL_S."""
    lease = acquire_lease(store, run_id, time.time())
    try:
        yield lambda: _renew_now(store, lease)
    finally:
        release_lease(store, lease)


def _renew_now(store: Store, lease: Lease) -> None:
    renew_lease(store, lease, time.time())


def _read(store: Store) -> Lease | None:
    try:
        return Lease(**store.read_json(lease_uri(store)))
    except FileNotFoundError:
        return None
    except TypeError as error:
        raise ArtifactCorruptError(f"{lease_uri(store)}: not a lease; delete it") from error


def _is_live(lease: Lease, now_s: float) -> bool:
    if lease.expires_s <= now_s:
        return False
    if lease.host != socket.gethostname():
        return True
    try:
        os.kill(lease.process_id, 0)  # the lease of a run that died on this machine counts for nothing at once
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _refuse_other(lease: Lease | None, now_s: float, token: str) -> None:
    if lease is None or lease.token == token or not _is_live(lease, now_s):
        return
    until = time.strftime("%H:%M:%S", time.localtime(lease.expires_s))
    raise InterruptedRunError(
        f"run {lease.run_id} on {lease.host} (process {lease.process_id}) is at work on this store; it holds the "
        f"lease until {until} and renews it as long as it lives. Run again when it is over"
    )
