"""Verbs that wait for a run that is at work on the store, where the settings say so."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from contextlib import suppress
from pathlib import Path

import pytest
from kept_store import two_nights

from ds2ray.config import StorageConfig
from ds2ray.errors import InterruptedRunError
from ds2ray.store import Store, lease
from ds2ray.store.layout import runs_uri
from ds2ray.upkeep import rollback_run, rollback_users
from ds2ray.upkeep.checks import fsck
from ds2ray.upkeep.collecting import gc
from ds2ray.upkeep.erasing import erase, lift

VERBS: dict[str, Callable[[Store], object]] = {
    "rollback of users": lambda store: rollback_users(store, ["alice"]),
    "rollback of a run": lambda store: rollback_run(store, "second"),
    "gc": lambda store: gc(store, dry_run=False),
    "fsck": lambda store: fsck(store, mend=True),
    "erase": lambda store: erase(store, {"bob": "bob"}),
    "lift": lambda store: lift(store, {"bob": "bob"}),
}


@pytest.fixture
def root(tmp_path: Path) -> str:
    return two_nights(str(tmp_path / "store")).root_uri


def test_each_verb_waits_for_the_lease_as_long_as_the_settings_say(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "POLL_S", 0.01)
    store = Store.of(StorageConfig(root=root, wait_for_lease_s=600))
    with ThreadPoolExecutor(len(VERBS)) as pool:
        with lease.held(Store(root), "tonight"):
            begun = {name: pool.submit(verb, store) for name, verb in VERBS.items()}
            for work in begun.values():
                with suppress(NotYetError):  # who does not wait is refused by now
                    work.result(timeout=0.05)
        for work in begun.values():
            work.result(timeout=600)  # one after the other
    assert lease.read_lease(store) is None


@pytest.mark.parametrize("name", VERBS)
def test_without_the_setting_a_verb_is_refused_at_once(root: str, name: str) -> None:
    with lease.held(Store(root), "tonight"), pytest.raises(InterruptedRunError, match="run tonight"):
        VERBS[name](Store(root))


def test_a_folder_beside_the_store_is_waited_for_as_long_and_has_a_lease_of_its_own(root: str) -> None:
    store = Store.of(StorageConfig(root=root, wait_for_lease_s=600))
    with lease.held(store, "tonight") as hold:
        beside = hold.store.beside(runs_uri(store))
        assert (beside.fence, beside.wait_for_lease_s, beside.server) == (None, 600, store.server)
        with lease.held(beside, "gc"):
            assert lease.read_lease(beside) is not None
