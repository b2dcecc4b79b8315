"""The short form of chaos, and that it finds what is planted."""

import random
from pathlib import Path

import pytest
from toy_fleet import make_users, silent_base

from benchmarks.chaos import __main__ as chaos
from benchmarks.chaos.findings import Findings, adapters_of, done_twice, stored_leaks
from benchmarks.chaos.steps import Steps
from ds2ray.store import Store, publish_adapter, read_pointer
from ds2ray.store.index import close_run, open_run
from ds2ray.store.layout import adapter_weights_uri
from ds2ray.store.outcomes import Outcome, Status, write_part


def publish(store: Store, user: str, weights: bytes = b"weights") -> Outcome:
    """Publish something as a user's adapter, as a run does."""
    pointer = publish_adapter(
        store, user, weights, base_fingerprint="b" * 64, data_fingerprint="d" * 64, adapter={}, run_id="night",
        error_before=0.5, error_after=0.2,
    )  # fmt: skip
    return Outcome(user_key=user, status=Status.adapted, version=pointer.version, fingerprint="d" * 64)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "store"))
    open_run(store, "night")
    rows = [publish(store, user) for user in ("ann", "bob")]
    write_part(store, "night", "settled", rows)
    close_run(store, "night", rows)
    return store


def test_a_store_that_is_as_it_was_is_found_good(store: Store) -> None:
    findings = Findings()
    findings.check_store(store, adapters_of(store, ["ann", "bob"]), "here")
    findings.check_visible(store, ["ann", "bob"], "here")
    assert (findings.wrong, findings.notes) == ({}, [])


def test_what_is_wrong_is_found(store: Store, tmp_path: Path) -> None:
    expected = adapters_of(store, ["ann", "bob"])
    publish(store, "ann", b"others")
    row = Outcome(user_key="ann", status=Status.adapted)
    write_part(store, "night", "settled", [row, row])
    (tmp_path / "store/users/bob/current.json").unlink()
    findings = Findings()
    findings.check_store(store, expected, "here")
    assert findings.wrong == {"users_lost": 1, "unequal_stores": 2, "users_done_twice": 1}
    assert done_twice(store, "night") == ["ann"]
    pointer = read_pointer(store, "ann")
    assert pointer is not None
    Path(adapter_weights_uri(store, "ann", pointer.version)).write_bytes(b"")
    findings.check_visible(store, ["ann"], "here")
    findings.check_store(store, expected, "here")
    assert (findings.wrong["half_visible"], findings.wrong["silent_corruptions"]) == (1, 1)
    log = tmp_path / "log"
    log.write_text("Traceback (most recent call last):\n")
    findings.check_output(log)
    assert findings.wrong["tracebacks"] == 1


def test_secrets_are_found_in_tables(store: Store) -> None:
    assert stored_leaks(store, {"id": "hidden"}) == []
    write_part(store, "night", "000000-0000", [Outcome(user_key="x", status=Status.failed, reason="/hidden/a.wav")])
    assert [leak.partition(" in ")[0] for leak in stored_leaks(store, {"id": "hidden"})] == ["id"]


def test_a_bar_that_is_missed_is_named() -> None:
    good = {"faults_injected": 1000, "kills": 50, "mutations": 3000, "stores_equal": True}
    good |= dict.fromkeys((*chaos.ZERO, *chaos.UNWANTED), 0)
    assert chaos.falls_short(good) == []
    assert chaos.falls_short({**good, "kills": 49, "leaks": 1, "wrong_exit_codes": 1, "stores_equal": False}) == [
        "kills",
        "leaks",
        "wrong_exit_codes",
        "stores_equal",
    ]


@pytest.mark.process
def test_kills_at_writes_and_of_packing_cost_nothing(own_fork_server: None, tmp_path: Path) -> None:
    silent_base(str(tmp_path / "base"))
    users = make_users(tmp_path / "speech", {"ann": 5, "bob": 5})
    findings = Findings()
    environment = {"OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    steps = Steps(tmp_path, tmp_path / "base", users, ["ann", "bob"], environment, findings, random.Random(0))
    expected = steps.reference()
    assert len(expected) == 2
    steps.nights(expected, num_kills=4)
    steps.packing(num_kills=1)
    assert findings.kills == {"driver in one process": 4, "packing": 1}
    assert (findings.wrong, findings.notes) == ({}, [])
