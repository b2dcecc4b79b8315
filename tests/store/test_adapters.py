import os
import signal
import sys
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray import storage, store
from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.store import AdapterPointer, BaseRecord


@pytest.fixture(params=["path", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "path" else str(request.getfixturevalue("s3_root"))


def publish(root: str, weights: bytes, key: str = "john", run_id: str = "run") -> AdapterPointer:
    return store.publish_adapter(
        root,
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


def flip_a_bit(uri: str) -> None:
    data = bytearray(storage.read_bytes(uri))
    data[len(data) // 2] ^= 1
    storage.write_bytes(uri, bytes(data))


# User keys


def test_keys_of_users() -> None:
    assert store.user_key("user_john-2@home~x", salt="") == "user_john-2@home~x"
    assert store.user_key("../a b/ü", salt="") == "%2E%2E%2Fa%20b%2F%C3%BC"
    assert store.user_key("u\u0308", salt="") == store.user_key("ü", salt="")  # one id, composed or not


USER_IDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=15).filter(
    lambda user_id: user_id.strip() != ""
)


@given(USER_IDS)
def test_keys_are_safe_and_reversible(user_id: str) -> None:
    key = store.user_key(user_id, salt="")
    assert set(key) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~@%")
    assert store.user_key(unquote(key), salt="") == key


@pytest.mark.parametrize("user_id", ["", " ", "a\nb", "a\x00", "\ud800", "x" * 201, "홍" * 23])
def test_ids_that_cannot_be_keys(user_id: str) -> None:
    with pytest.raises(InputError, match="user id"):
        store.user_key(user_id, salt="")


def test_a_salt_hides_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS2RAY_USER_KEY_SALT", "pepper")
    # echo -n john | openssl dgst -sha256 -hmac pepper
    assert store.user_key("john") == "a5511a8c2c77d5a668d7b1459e00a9bd82080f8da69d1228ad71b35499cc198a"
    assert store.user_key("john") == store.user_key("john", salt="pepper")
    assert store.user_key("john") != store.user_key("john", salt="salt")
    monkeypatch.delenv("DS2RAY_USER_KEY_SALT")
    assert store.user_key("john") == "john"


# Adapters


def test_a_user_without_an_adapter(root: str) -> None:
    assert store.read_pointer(root, "john") is None
    assert store.history(root, "john") == []


def test_an_adapter_comes_back(root: str) -> None:
    pointer = publish(root, b"weights")
    assert store.read_pointer(root, "john") == pointer
    assert store.read_adapter(root, pointer) == b"weights"
    assert (pointer.seq, pointer.version, pointer.size_bytes) == (1, pointer.sha256[:16], 7)
    assert pointer.sha256 == "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    assert [info.uri.removeprefix(root) for info in storage.list_objects(root, recursive=True)] == [
        f"/users/john/{pointer.version}.safetensors",
        "/users/john/current.json",
    ]


def test_versions_are_counted_and_remembered(root: str) -> None:
    pointers = [publish(root, weights, run_id=f"run-{weights.decode()}") for weights in (b"one", b"two", b"three")]
    assert [pointer.seq for pointer in pointers] == [1, 2, 3]
    entries = store.history(root, "john")
    assert [(entry["seq"], entry["run_id"]) for entry in entries] == [(3, "run-three"), (2, "run-two"), (1, "run-one")]
    assert "history" not in entries[0]
    assert store.read_adapter(root, pointers[0]) == b"one"


def test_the_same_weights_are_one_version() -> None:
    root = "memory://the-same-weights"
    publish(root, b"one", run_id="first")
    pointer = publish(root, b"one", run_id="second")
    assert (pointer.seq, pointer.run_id, pointer.history) == (2, "second", ())


def test_a_history_stays_small() -> None:
    root = "memory://a-long-history"
    for number in range(store.MAX_HISTORY + 5):
        publish(root, str(number).encode())
    entries = store.history(root, "john")
    assert [entry["seq"] for entry in entries] == list(range(store.MAX_HISTORY + 5, 4, -1))


def test_rollback(root: str) -> None:
    first, second = publish(root, b"one"), publish(root, b"two")
    rolled_back = store.rollback(root, "john", first.version)
    assert store.read_pointer(root, "john") == rolled_back
    assert store.read_adapter(root, rolled_back) == b"one"
    assert replace(rolled_back, seq=1, history=()) == first
    assert [(entry["version"], entry["seq"]) for entry in store.history(root, "john")] == [
        (first.version, 3),
        (second.version, 2),
    ]


def test_rollback_to_what_is_not_there(root: str) -> None:
    version = publish(root, b"one").version
    with pytest.raises(InputError, match=f"no version 'abc'; versions there: {version}"):
        store.rollback(root, "john", "abc")
    with pytest.raises(InputError, match="versions there: none"):
        store.rollback(root, "mary", "abc")


def test_rollback_refuses_a_damaged_version(root: str) -> None:
    first, second = publish(root, b"one"), publish(root, b"two")
    flip_a_bit(storage.join(root, "users", "john", f"{first.version}.safetensors"))
    with pytest.raises(ArtifactCorruptError):
        store.rollback(root, "john", first.version)
    assert store.read_pointer(root, "john") == second


@pytest.mark.parametrize("damage", ["bit", "length", "missing"])
def test_damaged_weights_are_found(root: str, damage: str) -> None:
    pointer = publish(root, b"weights of john")
    uri = storage.join(root, "users", "john", f"{pointer.version}.safetensors")
    if damage == "bit":
        flip_a_bit(uri)
    elif damage == "length":
        storage.write_bytes(uri, b"weights of joh")
    else:
        storage.delete(uri)
    with pytest.raises(ArtifactCorruptError) as caught:
        store.read_adapter(root, pointer)
    assert str(caught.value).startswith(uri)
    assert "publish again" in str(caught.value)


@pytest.mark.parametrize("document", ['{"version": "a"}', "[]", "", '{"user_key": '])
def test_a_damaged_pointer_is_found(root: str, document: str) -> None:
    storage.write_bytes(storage.join(root, "users", "john", "current.json"), document.encode())
    with pytest.raises(ArtifactCorruptError, match=r"current\.json"):
        store.read_pointer(root, "john")


def test_fields_of_a_later_release_are_ignored(root: str) -> None:
    pointer = publish(root, b"one")
    uri = storage.join(root, "users", "john", "current.json")
    storage.write_json(uri, storage.read_json(uri) | {"comment": "of a later release"})
    assert store.read_pointer(root, "john") == pointer


def test_pointers_of_an_earlier_release_are_read(root: str) -> None:
    first, second = publish(root, b"one"), publish(root, b"two")
    uri = storage.join(root, "users", "john", "current.json")
    document = storage.read_json(uri)
    assert document.pop("split") == document["history"][0].pop("split") == "by halves"
    storage.write_json(uri, document)
    pointer = store.read_pointer(root, "john")
    assert pointer is not None
    assert (pointer.version, pointer.split) == (second.version, "")
    assert replace(store.rollback(root, "john", first.version), seq=1, history=()) == replace(first, split="")


def _publish_and_die(root: str, last_written: str) -> None:
    """Publish `b"two"`, and be killed at the moment in which the object of that name would appear."""

    def die(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.rename" and str(arguments[1]).endswith(last_written):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die)
    publish(root, b"two")


@pytest.mark.parametrize("last_written", [".safetensors", "current.json"])
def test_a_crash_leaves_the_earlier_version(tmp_path: Path, last_written: str) -> None:
    root = str(tmp_path)
    first = publish(root, b"one")
    process = get_context("fork").Process(target=_publish_and_die, args=(root, last_written))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert store.read_pointer(root, "john") == first
    assert store.read_adapter(root, first) == b"one"
    second = publish(root, b"two")
    assert second.seq == 2
    assert store.read_adapter(root, second) == b"two"


# Bases


def record_of(weights: bytes, base_id: str = "0123456789abcdef") -> BaseRecord:
    return BaseRecord(
        base_id=base_id,
        fingerprint=base_id * 4,
        sha256=store.sha256(weights),
        size_bytes=len(weights),
        model={"num_rnn_layers": 3},
        audio={"num_mels": 80},
        vocabulary={"tokens": ["<blank>", "a"]},
        run_id="run",
        metrics={"wer": 0.05},
    )


def test_a_base_comes_back(root: str) -> None:
    record = record_of(b"weights")
    uri = store.publish_base(root, b"weights", record)
    assert uri == storage.join(root, "bases", "0123456789abcdef")
    for base in ("", "0123456789abcdef", uri, uri + "/"):
        assert store.read_base(root, base) == (record, b"weights")
        assert store.read_base_record(root, base) == record


def test_the_newest_base_is_the_default(root: str) -> None:
    store.publish_base(root, b"one", record_of(b"one", "1" * 16))
    store.publish_base(root, b"two", record_of(b"two", "2" * 16))
    assert store.read_base(root)[1] == b"two"
    assert store.read_base(root, "1" * 16)[1] == b"one"
    assert store.list_bases(root) == ["1" * 16, "2" * 16]


def test_a_store_without_a_base(root: str) -> None:
    with pytest.raises(InputError, match="no base in .*: train one with jobs/train.py"):
        store.read_base(root)


def test_an_unknown_base_is_answered_with_those_there(root: str) -> None:
    with pytest.raises(InputError, match="no base 'abc' in .*; there are none"):
        store.read_base(root, "abc")
    store.publish_base(root, b"one", record_of(b"one"))
    with pytest.raises(InputError, match="no base 'abc' in .*; bases there: 0123456789abcdef"):
        store.read_base(root, "abc")
    with pytest.raises(InputError, match="no base .*/elsewhere/x'"):
        store.read_base(root, f"{root}/elsewhere/x")


def test_a_damaged_base_is_found(root: str) -> None:
    uri = store.publish_base(root, b"weights", record_of(b"weights"))
    flip_a_bit(f"{uri}/model.safetensors")
    with pytest.raises(ArtifactCorruptError, match=r"model\.safetensors: its sha256 is not the published"):
        store.read_base(root)
    assert store.read_base_record(root).run_id == "run"


@pytest.mark.parametrize("document", ["{}", "[]", "nothing"])
def test_a_damaged_current_base_is_found(root: str, document: str) -> None:
    storage.write_bytes(storage.join(root, "bases", "current.json"), document.encode())
    with pytest.raises(ArtifactCorruptError, match=r"bases/current\.json"):
        store.read_base(root)
