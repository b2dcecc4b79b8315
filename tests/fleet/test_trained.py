"""Users who are trained, and not published yet."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ds2ray import storage
from ds2ray.fleet.trained import TrainedUser, taken_out
from ds2ray.store import Store, read_pointer, sha256
from ds2ray.store.layout import pointer_uri
from ds2ray.store.outcomes import Outcome, Status

MAKING: dict[str, Any] = {
    "base_fingerprint": "b" * 64,
    "data_fingerprint": "d",
    "adapter": {},
    "run_id": "run",
    "error_before": 0.5,
    "error_after": 0.25,
}
ADAPTED = Outcome(user_key="ann", status=Status.adapted, reason="left out: 1 × silence")


def test_an_adapter_is_published_and_the_outcome_names_it(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    outcome = TrainedUser(ADAPTED, b"weights", MAKING).published(store)
    pointer = read_pointer(store, "ann")
    assert pointer is not None
    assert (outcome.version, outcome.sha256) == (pointer.version, sha256(b"weights"))
    assert (pointer.run_id, pointer.error_after) == ("run", 0.25)


def test_who_has_nothing_to_publish_leaves_the_store_alone(tmp_path: Path) -> None:
    kept = replace(ADAPTED, status=Status.kept_previous)
    assert TrainedUser(kept).published(Store(str(tmp_path))) == kept
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_pointer_fails_its_user_alone(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    storage.write_bytes(pointer_uri(store, "ann"), b"{")
    outcome = TrainedUser(ADAPTED, b"weights", MAKING).published(store)
    assert (outcome.status, outcome.version) == (Status.failed, "")
    assert "current.json" in outcome.reason
    assert outcome.reason.endswith("; left out: 1 × silence")


def test_users_are_taken_out_with_the_outcome_that_may_be_told() -> None:
    held = {"ann": TrainedUser(ADAPTED, b"weights", MAKING)}
    private, failed = replace(ADAPTED, reason="…"), Outcome(user_key="bob", status=Status.failed)
    assert taken_out(held, [private, failed]) == [TrainedUser(private, b"weights", MAKING), TrainedUser(failed)]
    assert held == {}
