import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from leases import Time, lease_uri, stored, taken_elsewhere

from ds2ray import storage
from ds2ray.errors import InterruptedRunError, StorageError
from ds2ray.store import Store, lease
from ds2ray.store.leases.identity import this_process
from ds2ray.store.leases.record import TTL_S, lease_bytes


@pytest.fixture
def folder(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def grow_older(place: Store, seconds: float) -> None:
    """Let the lease look as if it had been written so long ago."""
    written_s = time.time() - seconds
    os.utime(storage.local_path(lease_uri(place)), (written_s, written_s))


def test_a_lease_that_is_given_back_can_be_taken_and_numbers_go_on(place: Store) -> None:
    first = lease.acquire_lease(place, "first")
    lease.release_lease(place, first)
    second = lease.acquire_lease(place, "second")
    assert (second.run_id, second.fence) == ("second", first.fence + 1)


def test_another_run_is_refused(place: Store) -> None:
    taken_elsewhere(place)
    with pytest.raises(InterruptedRunError, match=r"run first on another-machine .process 1.*wait_for_lease_s") as told:
        lease.acquire_lease(place, "first")  # two runs of one name are two
    assert told.value.exit_code == 75


def test_who_is_silent_for_long_enough_has_lost_it(folder: Store) -> None:
    lost = taken_elsewhere(folder)
    grow_older(folder, 119)
    with pytest.raises(InterruptedRunError):
        lease.acquire_lease(folder, "second")
    grow_older(folder, 130)
    second = lease.acquire_lease(folder, "second")
    assert second.fence == lost.fence + 1
    with pytest.raises(InterruptedRunError, match="run first has lost the lease .*run second"):
        lease.renew_lease(folder, lost)
    lease.release_lease(folder, lost)
    assert stored(folder) == second


def test_renewing_keeps_others_out(folder: Store) -> None:
    taken = taken_elsewhere(folder)
    grow_older(folder, 200)
    lease.renew_lease(folder, taken)
    with pytest.raises(InterruptedRunError):
        lease.acquire_lease(folder, "second")


@pytest.mark.parametrize("ahead_s", [130.0, 10 * 365 * 86400.0, -3600.0])
def test_a_clock_that_is_wrong_steals_nothing(folder: Store, ahead_s: float) -> None:
    taken_elsewhere(folder)
    with pytest.raises(InterruptedRunError):
        lease.acquire_lease(folder, "second", clocks=Time(ahead_s=ahead_s).clocks)


@pytest.mark.parametrize("expires_s", [4e9, 1e300, 0.0, -1e300])
def test_a_holder_whose_clock_is_wrong_neither_keeps_it_for_ever_nor_loses_it(folder: Store, expires_s: float) -> None:
    taken_elsewhere(folder, expires_s=expires_s)
    with pytest.raises(InterruptedRunError, match="run first"):
        lease.acquire_lease(folder, "second")
    grow_older(folder, 130)
    assert lease.acquire_lease(folder, "second").run_id == "second"


def test_setting_the_clock_of_this_machine_steals_nothing(folder: Store) -> None:
    here, other = this_process(), replace(this_process(), namespace="pid:[1]", process_id=1)
    lease.acquire_lease(folder, "first", here=other)  # in another container of this machine
    grow_older(folder, 500)
    with pytest.raises(InterruptedRunError, match="run first"):
        lease.acquire_lease(folder, "second", here=here)


def test_containers_of_one_name_are_not_one(folder: Store) -> None:
    """The process of the other one, whose number is nobody's here, lives."""
    here = this_process()
    gone = 2**22 + 1
    for other in (replace(here, namespace="pid:[1]"), replace(here, boot="another-boot"), replace(here, boot="")):
        taken = lease.acquire_lease(folder, "first", here=replace(other, process_id=gone))
        with pytest.raises(InterruptedRunError, match="run first"):
            lease.acquire_lease(folder, "second", here=here)
        lease.release_lease(folder, taken)


@pytest.mark.parametrize("changed", [{"process_id": 2**22 + 1}, {"started": 1}])
def test_a_process_of_this_machine_that_has_ended_holds_nothing(folder: Store, changed: dict[str, Any]) -> None:
    """A number may have been given to another process since."""
    lease.acquire_lease(folder, "first", here=replace(this_process(), **changed))
    assert lease.held_elsewhere(folder) == ""
    assert lease.acquire_lease(folder, "second").run_id == "second"


def test_it_is_waited_for(folder: Store) -> None:
    first = taken_elsewhere(folder)
    waits = Time()
    renew, release = lambda: lease.renew_lease(folder, first), lambda: lease.release_lease(folder, first)
    waits.waits = [lambda: None, renew, release]
    assert lease.acquire_lease(folder, "second", wait_s=60, clocks=waits.clocks).run_id == "second"
    assert waits.now_s - 1000 == pytest.approx(6)


def test_waiting_ends(folder: Store) -> None:
    taken_elsewhere(folder)
    waits = Time()
    with pytest.raises(InterruptedRunError, match="run first"):
        lease.acquire_lease(folder, "second", wait_s=7, clocks=waits.clocks)
    assert waits.now_s == pytest.approx(1007)


def test_a_storage_without_times_is_watched(folder: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "age_s", lambda *place: None)
    first, waits = taken_elsewhere(folder), Time()
    waits.waits = [lambda: None, lambda: lease.renew_lease(folder, first)]
    with pytest.raises(InterruptedRunError, match="run first"):
        lease.acquire_lease(folder, "second", clocks=waits.clocks)
    waits = Time()
    assert lease.acquire_lease(folder, "second", clocks=waits.clocks).run_id == "second"
    assert waits.now_s - 1000 >= TTL_S


def test_what_is_damaged_counts_as_held_for_a_while_and_then_as_given_back(folder: Store) -> None:
    for damaged in (b"", b"{", b"[]", b'{"run_id": "x"}', json.dumps(asdict(taken_elsewhere(folder)) | {"ttl_s": "x"})):
        data = damaged if isinstance(damaged, bytes) else damaged.encode()
        storage.write_bytes(lease_uri(folder), data)
        with pytest.raises(InterruptedRunError, match=r"lease\.json: not a lease"):
            lease.acquire_lease(folder, "second")
        grow_older(folder, 130)
        second = lease.acquire_lease(folder, "second")
        assert second.fence > 1_000_000_000
        lease.release_lease(folder, second)


def test_the_holder_mends_a_damaged_record(folder: Store) -> None:
    held = lease.acquire_lease(folder, "first")
    storage.write_bytes(lease_uri(folder), b"\0")
    assert lease.renew_lease(folder, held).token == stored(folder).token == held.token


def test_a_late_renewal_of_an_earlier_holder_is_written_over(folder: Store) -> None:
    first = taken_elsewhere(folder)
    grow_older(folder, 130)
    second = lease.acquire_lease(folder, "second")
    storage.write_bytes(lease_uri(folder), lease_bytes(first))  # it was stopped between looking and writing
    assert lease.renew_lease(folder, second).token == stored(folder).token == second.token


def test_a_lease_of_an_earlier_release_counts(folder: Store) -> None:
    earlier = {"run_id": "old", "token": "0a", "host": "somewhere", "process_id": 1, "expires_s": time.time() + 100}
    storage.write_json(lease_uri(folder), earlier)
    with pytest.raises(InterruptedRunError, match="run old on somewhere"):
        lease.acquire_lease(folder, "new")
    grow_older(folder, 130)
    assert lease.acquire_lease(folder, "new").fence == 1


def test_a_lease_is_broken_knowingly(place: Store) -> None:
    assert lease.break_lease(place) is None
    first = taken_elsewhere(place)
    broken = lease.break_lease(place)
    assert broken is not None
    assert (broken.run_id, broken.host) == ("first", "another-machine")
    assert lease.break_lease(place) is None
    with pytest.raises(InterruptedRunError, match="run first has lost the lease .*broken"):
        lease.renew_lease(place, first)
    assert lease.acquire_lease(place, "second").fence > first.fence


def test_held(place: Store) -> None:
    with lease.held(place, "run") as hold:
        before = hold.lasts_until_s
        hold()
        assert hold.lasts_until_s > before
        assert stored(place) == hold.lease
        assert lease.held_elsewhere(place) == ""
    assert stored(place).released


def test_a_lease_is_given_back_after_a_failure(place: Store) -> None:
    with pytest.raises(KeyError), lease.held(place, "run"):
        raise KeyError
    assert stored(place).released


def test_a_store_that_is_gone_at_the_end_ends_no_run(folder: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*place: object) -> None:
        raise StorageError("gone")

    with lease.held(folder, "run"):
        monkeypatch.setattr(lease, "find_lease", gone)
    assert not stored(folder).released
