"""Leases in a store that does not answer, or slowly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from leases import Time, stored

from ds2ray import storage
from ds2ray.errors import InterruptedRunError
from ds2ray.store import Store, lease
from ds2ray.store.leases.record import TTL_S, Found


@pytest.fixture
def folder(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def test_a_renewal_that_took_too_long_is_none(folder: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "honours_conditions", lambda *place: False)
    held, late = lease.acquire_lease(folder, "first"), Time()
    write = storage.write_where_seen

    def stopped(*arguments: Any) -> bool:
        done = write(*arguments)
        late.now_s = held.lasts_until_s + 1
        return done

    monkeypatch.setattr(storage, "write_where_seen", stopped)
    late.now_s = held.renewed_s
    with pytest.raises(InterruptedRunError, match="run first has lost the lease"):
        lease.renew_lease(folder, held, late.clocks)


@pytest.mark.parametrize("answered", ["look", "second look"])
@pytest.mark.parametrize("has_conditions", [True, False])
def test_a_lease_that_ran_out_while_the_store_did_not_answer_goes_on(
    folder: Store, monkeypatch: pytest.MonkeyPatch, answered: str, has_conditions: bool
) -> None:
    """Ten minutes, in the middle of a renewal: nobody else could reach the store, either."""
    clock, find, write = Time(), lease._find, storage.write_where_seen
    outages = {answered: 600.0}
    mine = lease.acquire_lease(folder, "first", clocks=clock.clocks)

    def found_late(store: Store) -> Found:
        clock.now_s += outages.pop("look", 0.01)
        return find(store)

    def written_late(uri: str, data: bytes, seen: Any, server: Any, last_look: Callable[[], None]) -> bool:
        clock.now_s += outages.pop("second look", 0.01)
        return write(uri, data, seen, server, last_look)

    monkeypatch.setattr(lease, "_find", found_late)
    monkeypatch.setattr(storage, "write_where_seen", written_late)
    monkeypatch.setattr(storage, "honours_conditions", lambda uri, server: has_conditions)
    again = lease.renew_lease(folder, mine, clock.clocks)
    assert (again.token, again.fence, outages) == (mine.token, mine.fence, {})
    assert again.lasts_until_s > clock.now_s + TTL_S - 1
    assert stored(folder) == again


@pytest.mark.parametrize(("num_slow", "least_s", "most_s"), [(3, 0.0, 10.0), (1000, lease.TTL_S, lease.TTL_S + 20.0)])
def test_a_look_that_took_long_is_taken_again_before_a_whole_lease_is_waited_for(
    folder: Store, monkeypatch: pytest.MonkeyPatch, num_slow: int, least_s: float, most_s: float
) -> None:
    """Without conditional writes: a server that is slow now and then costs no two minutes, one that always is does."""
    monkeypatch.setattr(storage, "honours_conditions", lambda *place: False)
    clock, write, slow = Time(), storage.write_where_seen, iter(range(num_slow))

    def slowly(*arguments: Any) -> bool:
        clock.now_s += 0.6 if next(slow, None) is not None else 0.01
        return write(*arguments)

    monkeypatch.setattr(storage, "write_where_seen", slowly)
    began_s = clock.now_s
    taken = lease.acquire_lease(folder, "run", clocks=clock.clocks)
    assert stored(folder).token == taken.token
    assert least_s <= clock.now_s - began_s < most_s
