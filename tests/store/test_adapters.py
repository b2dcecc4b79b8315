import os
import signal
import sys
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
from damage import flip_a_bit
from records import fields_of

from ds2ray import storage, store
from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.store import AdapterPointer, Store
from ds2ray.store.adapters import KIND
from ds2ray.store.records import write_record


def publish(place: Store, weights: bytes, key: str = "john", run_id: str = "run") -> AdapterPointer:
    return store.publish_adapter(
        place,
        key,
        weights,
        base_fingerprint="b" * 64,
        data_fingerprint=f"data of {weights!r}",
        adapter={"hidden_dims": [32]},
        run_id=run_id,
        error_before=0.5,
        error_after=0.25,
        split="by halves",
    )


def test_a_user_without_an_adapter(place: Store) -> None:
    assert store.read_pointer(place, "john") is None
    assert store.history(place, "john") == []


def test_an_adapter_comes_back(place: Store) -> None:
    pointer = publish(place, b"weights")
    assert store.read_pointer(place, "john") == pointer
    assert store.read_adapter(place, pointer) == b"weights"
    assert (pointer.seq, pointer.version, pointer.size_bytes) == (1, pointer.sha256[:16], 7)
    assert pointer.sha256 == "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    assert [info.uri.removeprefix(place.root_uri) for info in storage.list_objects(place.root_uri, recursive=True)] == [
        f"/users/john/{pointer.version}.safetensors",
        "/users/john/current.json",
    ]


def test_versions_are_counted_and_remembered(place: Store) -> None:
    pointers = [publish(place, weights, run_id=f"run-{weights.decode()}") for weights in (b"one", b"two", b"three")]
    assert [pointer.seq for pointer in pointers] == [1, 2, 3]
    entries = store.history(place, "john")
    assert [(entry["seq"], entry["run_id"]) for entry in entries] == [(3, "run-three"), (2, "run-two"), (1, "run-one")]
    assert "history" not in entries[0]
    assert store.read_adapter(place, pointers[0]) == b"one"


def test_the_same_weights_are_one_version() -> None:
    place = Store("memory://the-same-weights")
    publish(place, b"one", run_id="first")
    pointer = publish(place, b"one", run_id="second")
    assert (pointer.seq, pointer.run_id, pointer.history) == (2, "second", ())


def test_a_history_stays_small() -> None:
    place = Store("memory://a-long-history")
    for number in range(store.MAX_HISTORY + 5):
        publish(place, str(number).encode())
    entries = store.history(place, "john")
    assert [entry["seq"] for entry in entries] == list(range(store.MAX_HISTORY + 5, 4, -1))


def test_rollback(place: Store) -> None:
    first, second = publish(place, b"one"), publish(place, b"two")
    rolled_back = store.rollback(place, "john", first.version)
    assert store.read_pointer(place, "john") == rolled_back
    assert store.read_adapter(place, rolled_back) == b"one"
    assert rolled_back.restored_seq == first.seq
    assert replace(rolled_back, seq=1, history=(), restored_seq=0) == first
    assert [(entry["version"], entry["seq"]) for entry in store.history(place, "john")] == [
        (first.version, 3),
        (second.version, 2),
    ]


def test_rollback_to_what_is_not_there(place: Store) -> None:
    version = publish(place, b"one").version
    with pytest.raises(InputError, match=f"no version 'abc'; versions there: {version}"):
        store.rollback(place, "john", "abc")
    with pytest.raises(InputError, match="versions there: none"):
        store.rollback(place, "mary", "abc")


def test_rollback_refuses_a_damaged_version(place: Store) -> None:
    first, second = publish(place, b"one"), publish(place, b"two")
    flip_a_bit(storage.join(place.root_uri, "users", "john", f"{first.version}.safetensors"))
    with pytest.raises(ArtifactCorruptError):
        store.rollback(place, "john", first.version)
    assert store.read_pointer(place, "john") == second


@pytest.mark.parametrize("damage", ["bit", "length", "missing"])
def test_damaged_weights_are_found(place: Store, damage: str) -> None:
    pointer = publish(place, b"weights of john")
    uri = storage.join(place.root_uri, "users", "john", f"{pointer.version}.safetensors")
    if damage == "bit":
        flip_a_bit(uri)
    elif damage == "length":
        storage.write_bytes(uri, b"weights of joh")
    else:
        storage.delete(uri)
    with pytest.raises(ArtifactCorruptError) as caught:
        store.read_adapter(place, pointer)
    assert str(caught.value).startswith(uri)
    assert "publish again" in str(caught.value)


@pytest.mark.parametrize("document", ['{"version": "a"}', "[]", "", '{"user_key": '])
def test_a_damaged_pointer_is_found(place: Store, document: str) -> None:
    storage.write_bytes(storage.join(place.root_uri, "users", "john", "current.json"), document.encode())
    with pytest.raises(ArtifactCorruptError, match=r"current\.json"):
        store.read_pointer(place, "john")


def test_fields_of_a_later_release_are_ignored(place: Store) -> None:
    pointer = publish(place, b"one")
    uri = storage.join(place.root_uri, "users", "john", "current.json")
    write_record(place, uri, KIND, fields_of(place, uri) | {"comment": "of a later release"})
    assert store.read_pointer(place, "john") == pointer


def test_pointers_of_an_earlier_release_are_read(place: Store) -> None:
    first, second = publish(place, b"one"), publish(place, b"two")
    uri = storage.join(place.root_uri, "users", "john", "current.json")
    document = fields_of(place, uri)
    assert document.pop("split") == document["history"][0].pop("split") == "by halves"
    storage.write_json(uri, document)
    pointer = store.read_pointer(place, "john")
    assert pointer is not None
    assert (pointer.version, pointer.split) == (second.version, "")
    rolled_back = store.rollback(place, "john", first.version)
    assert replace(rolled_back, seq=1, history=(), restored_seq=0) == replace(first, split="")


def _publish_and_die(place: Store, last_written: str) -> None:
    """Publish `b"two"`, and be killed at the moment in which the object of that name would appear."""

    def die(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.rename" and str(arguments[1]).endswith(last_written):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die)
    publish(place, b"two")


@pytest.mark.process
@pytest.mark.parametrize("last_written", [".safetensors", "current.json"])
def test_a_crash_leaves_the_earlier_version(tmp_path: Path, last_written: str) -> None:
    place = Store(str(tmp_path))
    first = publish(place, b"one")
    process = get_context("fork").Process(target=_publish_and_die, args=(place, last_written))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert store.read_pointer(place, "john") == first
    assert store.read_adapter(place, first) == b"one"
    second = publish(place, b"two")
    assert second.seq == 2
    assert store.read_adapter(place, second) == b"two"


def test_a_version_that_a_newer_release_has_published_can_be_current_again(place: Store) -> None:
    first = publish(place, b"one")
    publish(place, b"two")
    uri = f"{place}/users/john/current.json"
    document = fields_of(place, uri)
    document["history"][0]["signature"] = "of a newer release"
    write_record(place, uri, KIND, document)
    assert store.rollback(place, "john", first.version).version == first.version


@pytest.mark.parametrize(
    ("stored", "code"),
    [
        ("holds out a share of 0.25, drawn by seed 7", "hold_out:0.25:7"),
        ("trains on everything, judged by cross-validation", "cross_validated"),
        ("held-out speech has a manifest of its own", "own_manifest"),
        ("hold_out:0.25:7", "hold_out:0.25:7"),
        ("", ""),
    ],
)
def test_what_earlier_releases_said_of_the_split_is_read_as_its_code(place: Store, stored: str, code: str) -> None:
    for weights in (b"one", b"two"):
        publish(place, weights)
    uri = f"{place}/users/john/current.json"
    document = fields_of(place, uri)
    document["split"] = document["history"][0]["split"] = stored
    place.write_json(uri, document)
    assert [entry["split"] for entry in store.history(place, "john")] == [code, code]
