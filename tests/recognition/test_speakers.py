"""Open adapters: few are kept, those last asked for, and what is dropped, or has changed, is opened again."""

import math
import shutil
import threading
from pathlib import Path

import pytest
import torch
from damage import rewrite_record
from tiny_base import make_base

from ds2ray import storage
from ds2ray.config import AdapterConfig, to_plain
from ds2ray.errors import StorageError
from ds2ray.model.adapters.mlp import MLPAdapter
from ds2ray.model.stored import publish_base
from ds2ray.model.weights import Base, to_bytes
from ds2ray.recognition import speakers
from ds2ray.recognition.speakers import MAX_OPEN, Speakers
from ds2ray.store import AdapterPointer, Store, publish_adapter

CONFIG = AdapterConfig(hidden_dims=[3], after_layer=-1)


@pytest.fixture
def base() -> Base:
    return make_base()


@pytest.fixture
def root(tmp_path: Path, base: Base) -> str:
    """A store in which ann, bob and cem have adapters."""
    publish_base(Store(str(tmp_path)), base, run_id="test", metrics={})
    for seed, user in enumerate(("ann", "bob", "cem")):
        publish(str(tmp_path), base, user, seed)
    return str(tmp_path)


def publish(root: str, base: Base, user: str, seed: int) -> AdapterPointer:
    torch.manual_seed(seed)
    return publish_adapter(
        Store(root),
        user,
        to_bytes(MLPAdapter.from_config(base.model.encoding_dim(-1), CONFIG).state_dict()),
        base_fingerprint=base.fingerprint,
        data_fingerprint="",
        adapter=to_plain(CONFIG),
        run_id="test",
        error_before=None,
        error_after=None,
    )


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The users whose adapters are looked for in the store, in order."""
    users: list[str] = []
    real = speakers.open_adapter

    def open_adapter(store: Store, user_key: str, base: Base) -> object:
        users.append(user_key)
        return real(store, user_key, base)

    monkeypatch.setattr(speakers, "open_adapter", open_adapter)
    return users


def test_those_last_asked_for_are_kept(root: str, base: Base, opened: list[str]) -> None:
    known = Speakers(Store(root), base, max_open=2)
    ann = known.find("ann")
    known.find("bob")
    assert known.find("ann") is ann
    known.find("cem")
    assert len(known) == 2
    assert known.find("ann") is ann
    assert opened == ["ann", "bob", "cem"]
    assert known.find("bob").adapter is not None
    assert opened == ["ann", "bob", "cem", "bob"]
    assert len(known) == 2


def test_users_without_an_adapter_are_looked_for_once(root: str, base: Base, opened: list[str]) -> None:
    known = Speakers(Store(root), base)
    for _ in range(2):
        assert known.find("dua").note == "user dua has no adapter"
        assert known.find("").note == "no user given"
    assert opened == ["dua"]


def test_a_store_that_fails_is_asked_again(root: str, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Speakers(Store(root), base)

    def out_of_reach(*arguments: object) -> None:
        raise StorageError("the server does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(speakers, "open_adapter", out_of_reach)
        with pytest.raises(StorageError):
            known.find("ann")
    assert known.find("ann").adapter is not None


def test_memory_is_bounded_by_default(base: Base) -> None:
    known = Speakers(Store("memory://nowhere"), base)
    for number in range(MAX_OPEN + 10):
        known.find(f"user-{number}")
    assert len(known) == MAX_OPEN == 512


def test_a_pointer_of_a_newer_release_is_a_note_of_its_user_alone(root: str, base: Base) -> None:
    uri = f"{root}/users/bob/current.json"
    rewrite_record(uri, {"adapter": {**storage.read_json(uri)["adapter"], "rank": 4}})
    known = Speakers(Store(root), base)
    assert known.find("ann").adapter is not None
    assert known.find("bob").adapter is None
    assert known.find("bob").note.startswith("users/bob/current.json: unknown field adapter.rank: it was written by a")


def test_adapters_of_a_batch_are_read_at_the_same_time(root: str, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    all_three = threading.Barrier(3, timeout=60)
    real = speakers.open_adapter

    def open_adapter(store: Store, user_key: str, base: Base) -> object:
        all_three.wait()  # broken, and with it the test, where one is read after another
        return real(store, user_key, base)

    monkeypatch.setattr(speakers, "open_adapter", open_adapter)
    found = Speakers(Store(root), base).find_all(["cem", "ann", "bob", "ann"])
    assert list(found) == ["cem", "ann", "bob"]
    assert [speaker.adapter is not None for speaker in found.values()] == [True] * 3


def test_more_users_than_are_kept_are_found_together(root: str, base: Base, opened: list[str]) -> None:
    known = Speakers(Store(root), base, max_open=1)
    found = known.find_all(["ann", "bob", "cem"])
    assert all(speaker.adapter for speaker in found.values())
    assert len(known) == 1
    known.find_all(["cem"])
    assert sorted(opened) == ["ann", "bob", "cem"]


def test_a_new_version_is_used_without_a_restart(root: str, base: Base, opened: list[str]) -> None:
    eager, lazy = (Speakers(Store(root), base, fresh_s=fresh_s) for fresh_s in (0.0, math.inf))
    first = eager.find("ann")
    assert lazy.find("ann").version == first.version
    assert eager.find("ann").adapter is first.adapter
    assert opened == ["ann", "ann"]  # the pointer alone was read the third time
    newer = publish(root, base, "ann", seed=7)
    assert eager.find("ann").version == newer.version != first.version
    assert lazy.find("ann").version == first.version
    storage.delete(f"{root}/users/ann/current.json")
    assert eager.find("ann").note == "user ann has no adapter"
    publish(root, base, "ann", seed=0)
    assert eager.find("ann").version == first.version


def test_what_is_open_is_used_while_the_store_cannot_be_reached(
    root: str, base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Speakers(Store(root), base, fresh_s=0.0)
    first = known.find("ann")

    def out_of_reach(*arguments: object) -> None:
        raise StorageError("the server does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(speakers, "read_pointer", out_of_reach)
        meanwhile = known.find("ann")
    assert meanwhile.adapter is first.adapter
    assert "still current is not known: the server does not answer" in meanwhile.note
    assert known.find("ann").note == ""


def test_a_pointer_that_is_damaged_meanwhile_is_a_note(root: str, base: Base) -> None:
    known = Speakers(Store(root), base, fresh_s=0.0)
    known.find("ann")
    storage.write_bytes(f"{root}/users/ann/current.json", b"{")
    assert "not a JSON document" in known.find("ann").note
    assert known.find("bob").adapter is not None


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("version", 5, "impossible values: version=5"),
        ("size_bytes", "many", "impossible values: size_bytes='many'"),
        ("size_bytes", True, "impossible values: size_bytes=True"),
        ("adapter", None, "impossible values: adapter=None"),
        ("history", 3, "impossible values: history=3"),
        ("history", ["one"], "impossible values: history=['one']"),
        ("error_after", "low", "impossible values: error_after='low'"),
        ("adapter", {"hidden_dims": [3], "after_layer": 9}, "cannot have such an adapter"),
        ("adapter", {"hidden_dims": [2.5]}, "cannot have such an adapter"),
        ("adapter", {"hidden_dims": [10**12], "after_layer": -1}, "does not fit"),
        ("adapter", {"hidden_dims": [4], "after_layer": -1}, "does not fit"),
        ("adapter", {"kind": "lhuc", "after_layer": -1}, "does not fit"),
        ("user_key", "ann", "belongs elsewhere: it has user_key 'ann', not 'bob'"),
    ],
)
def test_a_damaged_or_foreign_pointer_is_a_note_of_its_user_alone(
    root: str, base: Base, field: str, value: object, says: str
) -> None:
    uri = f"{root}/users/bob/current.json"
    rewrite_record(uri, {field: value})
    found = Speakers(Store(root), base).find_all(["ann", "bob", "cem"])
    assert [user for user, speaker in found.items() if speaker.adapter] == ["ann", "cem"]
    assert says in found["bob"].note


def test_the_folder_of_another_user_is_refused(root: str, base: Base) -> None:
    shutil.copytree(f"{root}/users/ann", f"{root}/users/dua")
    known = Speakers(Store(root), base)
    assert "belongs elsewhere: it has user_key 'ann', not 'dua'" in known.find("dua").note
    assert known.find("ann").adapter is not None
