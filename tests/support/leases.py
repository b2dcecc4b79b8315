"""Leases of tests: where they lie, and clocks that go on by waiting alone."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ds2ray import storage
from ds2ray.store import Store, lease
from ds2ray.store.leases.identity import Identity
from ds2ray.store.leases.record import find_lease, lease_bytes

ELSEWHERE = Identity(boot="another-boot", namespace="pid:[1]", process_id=1, started=1, host="another-machine")


@dataclass
class Time:
    """Clocks that go on by waiting alone, and do something at each waiting."""

    now_s: float = 1000.0
    ahead_s: float = 0.0  # of the clock that people read
    waits: list[Callable[[], object]] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        if self.waits:
            self.waits.pop(0)()

    @property
    def clocks(self) -> lease.Clocks:
        return lease.Clocks(lambda: time.time() + self.ahead_s, lambda: self.now_s, self.sleep)


def lease_uri(place: Store) -> str:
    return storage.join(place.root_uri, "index", "lease.json")


def stored(place: Store) -> lease.Lease:
    found = find_lease(lease_uri(place), place.server).lease
    assert found is not None
    return found


def taken_elsewhere(place: Store, run_id: str = "first", **changed: Any) -> lease.Lease:
    taken = replace(lease.acquire_lease(place, run_id, here=ELSEWHERE), **changed)
    storage.write_bytes(lease_uri(place), lease_bytes(taken))
    return taken
