"""Open adapters: few are kept, those last asked for, and what is dropped is opened again."""

from pathlib import Path

import pytest
from tiny_base import make_base

from ds2ray import storage
from ds2ray.config import AdapterConfig, to_plain
from ds2ray.errors import StorageError
from ds2ray.model.adapters.mlp import MLPAdapter
from ds2ray.model.stored import publish_base
from ds2ray.model.weights import Base, to_bytes
from ds2ray.recognition import speakers
from ds2ray.recognition.speakers import MAX_OPEN, Speakers
from ds2ray.store import Store, publish_adapter

CONFIG = AdapterConfig(hidden_dims=[3], after_layer=-1)


@pytest.fixture
def base() -> Base:
    return make_base()


@pytest.fixture
def root(tmp_path: Path, base: Base) -> str:
    """A store in which ann, bob and cem have adapters."""
    publish_base(Store(str(tmp_path)), base, run_id="test", metrics={})
    for user in ("ann", "bob", "cem"):
        publish_adapter(
            Store(str(tmp_path)),
            user,
            to_bytes(MLPAdapter.from_config(base.model.encoding_dim(-1), CONFIG).state_dict()),
            base_fingerprint=base.fingerprint,
            data_fingerprint="",
            adapter=to_plain(CONFIG),
            run_id="test",
            error_before=None,
            error_after=None,
        )
    return str(tmp_path)


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
    pointer = storage.read_json(uri)
    pointer["adapter"]["rank"] = 4
    storage.write_json(uri, pointer)
    known = Speakers(Store(root), base)
    assert known.find("ann").adapter is not None
    assert known.find("bob").adapter is None
    assert known.find("bob").note.startswith("users/bob/current.json: unknown field adapter.rank: it was written by a")
