"""Bases of every architecture and adapters of every kind, by way of the store and of single files."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from architectures import ADAPTERS, AUDIO, MEMBERS, NUM_CLASSES, features_of, randomise, small_model

from ds2ray import AdapterManager, storage, store
from ds2ray.config import LAST_LAYER, TextConfig, adapter_to_plain
from ds2ray.errors import NewerReleaseError
from ds2ray.model import stored
from ds2ray.model.files import load_model_file, save_model_file
from ds2ray.model.stored import open_adapter, open_base, publish_base
from ds2ray.model.weights import Base, to_bytes
from ds2ray.store import AdapterPointer, Store
from ds2ray.text import Vocabulary
from ds2ray.upkeep import erase

VOCABULARY = Vocabulary.from_transcripts(["abcde"], TextConfig())
assert len(VOCABULARY) == NUM_CLASSES


def base_of(member: str) -> Base:
    return Base.of(small_model(member).eval(), MEMBERS[member], AUDIO, VOCABULARY)


@pytest.mark.parametrize("member", MEMBERS)
def test_a_base_is_opened_as_what_it_was(member: str, tmp_path: Path) -> None:
    base, root, path = base_of(member), store.Store(str(tmp_path / "store")), str(tmp_path / "model.pt")
    publish_base(root, base, run_id="run", metrics={})
    save_model_file(path, base)
    assert store.read_base_record(root).model["architecture"] == MEMBERS[member].architecture.value
    for opened in (open_base(root), load_model_file(path)):
        assert (opened.fingerprint, opened.model_config) == (base.fingerprint, base.model_config)
        inputs = features_of([25, 14])
        assert torch.equal(opened.model.eval()(*inputs)[0], base.model(*inputs)[0])


@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_adapter_is_opened_as_what_it_was(kind: str, tmp_path: Path) -> None:
    base, root = base_of("conformer"), store.Store(str(tmp_path / "store"))
    config = replace(ADAPTERS[kind], after_layer=LAST_LAYER)
    base.model.add_adapter(config)
    adapter = base.model.adapter
    assert adapter is not None
    randomise(adapter)
    encodings = torch.randn(2, 5, base.model.encoding_dim(LAST_LAYER))
    expected = adapter.eval()(encodings)
    store.publish_adapter(
        root,
        "john",
        to_bytes(adapter.state_dict()),
        base_fingerprint=base.fingerprint,
        data_fingerprint="",
        adapter=adapter_to_plain(config),
        run_id="run",
        error_before=None,
        error_after=None,
    )
    found = open_adapter(root, "john", base)
    assert found is not None
    pointer, opened = found
    assert pointer.adapter["after_layer"] == LAST_LAYER
    assert torch.equal(opened(encodings), expected)

    path = AdapterManager().save_adapter(base.model, str(tmp_path), "john")
    again = AdapterManager().load_adapter(base_of("conformer").model, path).adapter
    assert again is not None
    assert torch.equal(again(encodings), expected)
    assert AdapterManager().get_adapter_info(path)["num_parameters"] == sum(p.numel() for p in adapter.parameters())


def test_an_adapter_of_a_kind_that_is_not_known_is_refused(tmp_path: Path) -> None:
    base, root = base_of("deepspeech2"), store.Store(str(tmp_path))
    store.publish_adapter(
        root,
        "john",
        b"weights",
        base_fingerprint=base.fingerprint,
        data_fingerprint="",
        adapter={"kind": "of tomorrow", "after_layer": 0},
        run_id="run",
        error_before=None,
        error_after=None,
    )
    with pytest.raises(NewerReleaseError, match="of tomorrow"):
        open_adapter(root, "john", base)
    assert storage.exists(f"{root}/users/john/current.json")


def test_a_reader_between_two_steps_of_an_erasure_sees_a_user_without_an_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(Path(__file__).resolve().parents[1] / "fixtures" / "stored" / "store", tmp_path / "store")
    place = Store(str(tmp_path / "store"))
    base, read = stored.open_base(place), stored.read_adapter
    assert stored.open_adapter(place, "john", base) is not None

    def erased_meanwhile(store: Store, pointer: AdapterPointer) -> bytes:
        erase(store, {"john": "john"})
        return read(store, pointer)

    monkeypatch.setattr(stored, "read_adapter", erased_meanwhile)
    assert stored.open_adapter(place, "john", base) is None
