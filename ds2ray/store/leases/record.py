"""The record of a store's lease, lease.json: who holds it, or held it last, and the number of the acquisition."""

import math
import time
from dataclasses import asdict, dataclass, fields
from typing import Any

from ds2ray import storage
from ds2ray.errors import ArtifactCorruptError
from ds2ray.progress import duration_text
from ds2ray.storage import Seen, Server
from ds2ray.storage.sealed import seal, unseal
from ds2ray.store.leases.identity import Identity

KIND = "lease"
"""What lease.json says that it is."""

TTL_S = 120.0
"""Seconds without a renewal after which the holder of a lease is taken for dead."""


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The lease as it is stored. Fields with a default came with later releases.

    Attributes:
        token: random; it tells acquisitions apart, of the same run, too.
        expires_s: when it ends without a renewal, in seconds since 1970 by the holder's clock: for people alone.
        fence: number of the acquisition, greater than that of every one before.
        ttl_s: seconds that it lasts from one renewal to the next.
        renewed_s: when it was last renewed, by the clock of the holder's boot.
        boot, namespace, process_id, process_started, host: the identity of the holder.
        released: whether the holder has given it back, or it was broken.
    """

    run_id: str
    token: str
    host: str
    process_id: int
    expires_s: float
    fence: int = 0
    ttl_s: float = TTL_S
    renewed_s: float = 0.0
    boot: str = ""
    namespace: str = ""
    process_started: int = 0
    released: bool = False

    @property
    def holder(self) -> Identity:
        """The process that holds it."""
        return Identity(
            boot=self.boot,
            namespace=self.namespace,
            process_id=self.process_id,
            started=self.process_started,
            host=self.host,
        )

    @property
    def lasts_until_s(self) -> float:
        """When it ends without a renewal, by the clock of the holder's boot."""
        return self.renewed_s + self.ttl_s


@dataclass(frozen=True)
class Found:
    """What there is of a lease: the object as it was read, and the lease that it holds, if it is one."""

    seen: Seen
    lease: Lease | None

    @property
    def is_damaged(self) -> bool:
        """Whether there is something that is no lease."""
        return self.seen.data is not None and self.lease is None

    def is_held_by(self, token: str) -> bool:
        """Whether this acquisition has it."""
        return self.lease is not None and self.lease.token == token and not self.lease.released


def find_lease(uri: str, server: Server) -> Found:
    """Read a lease."""
    seen = storage.read_seen(uri, server)
    return Found(seen, None if seen.data is None else _parsed(seen.data, uri))


def lease_bytes(lease: Lease) -> bytes:
    """The record as it is stored."""
    return seal(KIND, asdict(lease))


_TYPES: dict[str, Any] = {"str": str, "int": int, "bool": bool, "float": (int, float)}


def _parsed(data: bytes, uri: str) -> Lease | None:
    try:
        document = unseal(data, uri, KIND)
        lease = Lease(**{name: value for name, value in document.items() if name in Lease.__dataclass_fields__})
    except (ArtifactCorruptError, TypeError):
        return None
    return lease if _is_possible(lease) else None


def _is_possible(lease: Lease) -> bool:
    for field in fields(lease):
        value, wanted = getattr(lease, field.name), _TYPES[getattr(field.type, "__name__", str(field.type))]
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            return False
    return 0 < lease.ttl_s < math.inf and lease.fence >= 0


def next_fence(found: Found, now_s: float) -> int:
    """The number of the next acquisition, at this time in seconds since 1970."""
    if found.lease is not None:
        return found.lease.fence + 1
    # the number that stood in a damaged record was counted from 1 on, and so is less than the seconds since 1970
    return int(now_s) if found.is_damaged else 1


def refusal_text(uri: str, found: Found, now_s: float) -> str:
    """Why a run that wants the lease at this URI is refused, and what it may do; `now_s` in seconds since 1970."""
    lease = found.lease
    if lease is None:
        return (
            f"{uri}: not a lease; a run may be at work on this store. It counts as over when nobody has "
            f"written there for {duration_text(TTL_S)}: run again then, or break the lease"
        )
    until = ""
    if math.isfinite(lease.expires_s) and 0 <= lease.expires_s - now_s <= lease.ttl_s:
        until = f" until {time.strftime('%H:%M:%S', time.localtime(lease.expires_s))}"
    return (
        f"run {lease.run_id} on {lease.host} (process {lease.process_id}) is at work on this store; it holds the "
        f"lease{until} and renews it as long as it lives. Run again when it is over, or wait for it: "
        "storage.wait_for_lease_s=600"
    )
